package scheduling

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/weirflow/weir/policies"
)

// Types of the profile handlers.
const (
	SingleProfileType = "single-profile-handler"
	HeaderProfileType = "header-profile-handler"
	DisaggType        = "disagg-profile-handler"
	PDProfileType     = "pd-profile-handler" // an older form of it
	DataParallelType  = "data-parallel-profile-handler"
)

// ProfileHandler says what becomes of the profiles of a configuration. There is one of:
// [SingleProfile], [HeaderProfile], [Disagg] and [DataParallel].
type ProfileHandler interface {
	policies.Plugin
	handlesProfiles()
}

// SingleProfile is the handler of configurations with one profile: it has nothing to decide.
type SingleProfile struct{ policies.Named }

// NewSingleProfile returns the handler.
func NewSingleProfile(name string) SingleProfile {
	return SingleProfile{policies.NewNamed(SingleProfileType, name)}
}

func (SingleProfile) handlesProfiles() {}

// HeaderProfileParameters are what the type takes.
type HeaderProfileParameters struct {
	// HeaderName is the request's header that names a profile; EPP-Profile.
	HeaderName string `json:"headerName"`
	// DefaultProfile is the profile of requests without the header; decode.
	DefaultProfile string `json:"defaultProfile"`
}

// HeaderProfile has each request name its profile in a header.
type HeaderProfile struct {
	policies.Named
	HeaderProfileParameters
}

// HeaderProfileFactory is the factory of [HeaderProfileType].
func HeaderProfileFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := HeaderProfileParameters{HeaderName: "EPP-Profile", DefaultProfile: "decode"}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	if p.HeaderName == "" || strings.ContainsFunc(p.HeaderName, noName) {
		return nil, fmt.Errorf("%w: headerName %q is no header's name; leave it out for EPP-Profile", policies.ErrParameters, p.HeaderName)
	}
	return &HeaderProfile{policies.NewNamed(HeaderProfileType, name), p}, nil
}

// noName reports whether a header's name may not have the character in it.
func noName(c rune) bool {
	return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
}

func (*HeaderProfile) handlesProfiles() {}

// DisaggParameters are what the type takes.
type DisaggParameters struct {
	// Profiles are the names of the profiles: decode, prefill and encode by default.
	Profiles DisaggProfiles `json:"profiles"`
	// Deciders are the plug-ins that say of each request whether it goes through the stage; a
	// stage without one is left out.
	Deciders DisaggDeciders `json:"deciders"`
	// StageOrder must be decode-first.
	StageOrder string `json:"stageOrder"`
	// DeciderPluginName is an older name of deciders.prefill.
	DeciderPluginName string `json:"deciderPluginName"`
}

// DisaggProfiles are the profiles of the stages.
type DisaggProfiles struct {
	Decode  string `json:"decode"`
	Prefill string `json:"prefill"`
	Encode  string `json:"encode"`
}

// DisaggDeciders are the deciders of the stages before the answer.
type DisaggDeciders struct {
	Prefill string `json:"prefill"`
	Encode  string `json:"encode"`
}

// Disagg has requests go through up to three stages: one profile chooses the endpoint that
// answers, and others those that encode and read the prompt before.
type Disagg struct {
	policies.Named
	Profiles DisaggProfiles
	Deciders DisaggDeciders
	// Prefill decides about the stage of that name where no declared plug-in does.
	Prefill policies.StageDecider
	// PrimaryPort is where requests are sent of whichever rank was chosen; 0 for the endpoint's own.
	PrimaryPort int
}

// DisaggFactory is the factory of [DisaggType].
func DisaggFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := DisaggParameters{Profiles: stageProfiles(), StageOrder: "decode-first"}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	if p.StageOrder != "decode-first" {
		return nil, fmt.Errorf("%w: stageOrder is %q, it must be decode-first: the ledger grants a request for the endpoint that answers it", policies.ErrParameters, p.StageOrder)
	}
	if p.Deciders.Prefill == "" {
		p.Deciders.Prefill = p.DeciderPluginName
	}
	return &Disagg{Named: policies.NewNamed(DisaggType, name), Profiles: p.Profiles, Deciders: p.Deciders}, nil
}

func stageProfiles() DisaggProfiles { return DisaggProfiles{"decode", "prefill", "encode"} }

// PDProfileParameters are what the older type takes.
type PDProfileParameters struct {
	// DecodeProfile and PrefillProfile are the names of the profiles.
	DecodeProfile  string `json:"decodeProfile"`
	PrefillProfile string `json:"prefillProfile"`
	// DeciderPluginName is the plug-in that says whether a prompt is read elsewhere.
	DeciderPluginName string `json:"deciderPluginName"`
	// Threshold is of before there were deciders: how many bytes of a prompt the endpoint that
	// answers must lack in its cache for the prompt to be read elsewhere; 0 for always.
	Threshold *int64 `json:"threshold"`
	// PrimaryPort is that of the data-parallel-profile-handler; none.
	PrimaryPort int `json:"primaryPort"`
	// These are accepted and have no effect.
	HashBlockSize               int    `json:"hashBlockSize"`
	PrefixPluginType            string `json:"prefixPluginType"`
	PrefixPluginName            string `json:"prefixPluginName"`
	PrefixMatchInfoProducerName string `json:"prefixMatchInfoProducerName"`
}

// PDProfileFactory is the factory of [PDProfileType].
func PDProfileFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	profiles := stageProfiles()
	p := PDProfileParameters{DecodeProfile: profiles.Decode, PrefillProfile: profiles.Prefill, DeciderPluginName: PrefixDeciderType}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	profiles.Decode, profiles.Prefill = p.DecodeProfile, p.PrefillProfile
	h := &Disagg{Named: policies.NewNamed(PDProfileType, name), Profiles: profiles, Deciders: DisaggDeciders{Prefill: p.DeciderPluginName}, PrimaryPort: p.PrimaryPort}
	switch t := p.Threshold; {
	case p.PrimaryPort < 0 || p.PrimaryPort > 65535:
		return nil, fmt.Errorf("%w: primaryPort is %d, it must be from 1 to 65535", policies.ErrParameters, p.PrimaryPort)
	case t == nil:
	case *t < 0:
		return nil, fmt.Errorf("%w: threshold is %d, it must not be negative", policies.ErrParameters, *t)
	case *t == 0:
		h.Prefill = NewAlwaysPrefill(AlwaysPrefillType)
	default:
		tokens := (*t + bytesPerToken - 1) / bytesPerToken
		h.Prefill = &PrefixDecider{policies.NewNamed(PrefixDeciderType, ""), PrefixDeciderParameters{NonCachedTokens: tokens}}
	}
	return h, nil
}

func (*Disagg) handlesProfiles() {}

// DataParallelParameters are what the type takes.
type DataParallelParameters struct {
	// PrimaryPort is the port that requests are sent to; 8000.
	PrimaryPort int `json:"primaryPort"`
}

// DataParallel is the handler of configurations with one profile whose endpoints are the ranks
// of data-parallel servers: a sidecar takes requests for all ranks of a host at one port, and a
// header tells it which of them was chosen.
type DataParallel struct {
	policies.Named
	DataParallelParameters
}

// DataParallelFactory is the factory of [DataParallelType].
func DataParallelFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := DataParallelParameters{PrimaryPort: 8000}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	if p.PrimaryPort < 1 || p.PrimaryPort > 65535 {
		return nil, fmt.Errorf("%w: primaryPort is %d, it must be from 1 to 65535", policies.ErrParameters, p.PrimaryPort)
	}
	return &DataParallel{policies.NewNamed(DataParallelType, name), p}, nil
}

func (*DataParallel) handlesProfiles() {}
