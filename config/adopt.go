package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weirflow/weir/gateway/endpoints"
)

// Adoption is what becomes of a file of today's Endpoint Pickers where Weir takes over its
// flow control and the picker keeps choosing endpoints.
type Adoption struct {
	// Plan is what Weir does.
	Plan *Plan
	// Picker and Weir are the two files that result.
	Picker, Weir []byte
	// Kept are the types of the plug-ins that only the picker keeps, sorted.
	Kept []string
	// Unnamed is set where nothing says who chooses endpoints: AssumedPicker stands in its
	// place.
	Unnamed bool
	// Unlocated is set where nothing says where the model servers are; then Weir's file does
	// not, either.
	Unlocated bool
}

// AssumedPicker is the address of the picker where neither a file nor a flag has one.
const AssumedPicker = "epp:9002"

// adoptedAddress is where what takes the place of a picker is come to by Envoy: from elsewhere,
// as pickers are.
const adoptedAddress = ":9002"

// Adopt splits a file. What the options' flags say is written into the file that results for
// Weir. The error, if any, is Problems.
func Adopt(data []byte, o Options) (*Adoption, Problems, error) {
	a := &Adoption{}
	given := maps.Clone(o.Flags)
	if given == nil {
		given = make(map[string][]string)
	}
	chooser, listens := processing(data, given)
	if a.Unnamed = !chooser; a.Unnamed {
		given["picker"] = []string{AssumedPicker}
	}
	if !listens {
		given["ext-proc"] = []string{adoptedAddress}
	}
	o.Flags, o.Unlocated = given, true
	plan, warnings, err := Parse(data, o)
	if err != nil {
		return nil, warnings, err
	}
	located := len(warnings)
	warnings = slices.DeleteFunc(warnings, func(p Problem) bool { return p.Path == "weir.endpoints" })
	a.Plan, a.Unlocated = plan, len(warnings) < located
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, warnings, fmt.Errorf("read the file again: %w", err)
	}
	b, root := plan.from, unaliased(document.Content[0])
	theirs := b.ofPicker(root)
	ours, kept := b.ofWeir(root)
	a.Kept = kept
	if err := b.writeFlags(ours, given); err != nil {
		return nil, warnings, err
	}
	if a.Picker, err = asText(theirs); err != nil {
		return nil, warnings, err
	}
	a.Weir, err = asText(ours)
	return a, warnings, err
}

// ofPicker is what of a file stays the picker's: all but flow control.
func (a *assembly) ofPicker(root *yaml.Node) *yaml.Node {
	reads := []string{endpoints.FileDiscoveryType, endpoints.MetricsDataSourceType, endpoints.CoreMetricsExtractorType}
	return filtered(root, map[string]func(*yaml.Node) *yaml.Node{
		"flowControl": drop, "saturationDetector": drop, "weir": drop,
		"featureGates": func(n *yaml.Node) *yaml.Node {
			return without(n, func(gate *yaml.Node) bool { return strings.HasPrefix(gate.Value, "flowControl") })
		},
		"plugins": func(n *yaml.Node) *yaml.Node {
			return without(n, func(p *yaml.Node) bool {
				return a.isFlowControl(fieldOf(p, "type")) && !slices.Contains(reads, fieldOf(p, "type")) && !referred(root, p)
			})
		},
	})
}

// ofWeir is what of a file becomes Weir's, and the types of the plug-ins that do not, sorted.
func (a *assembly) ofWeir(root *yaml.Node) (ours *yaml.Node, kept []string) {
	types := make(map[string]bool)
	ours = filtered(root, map[string]func(*yaml.Node) *yaml.Node{
		"schedulingProfiles": drop, "requestHandler": drop, "parser": drop, "featureGates": drop,
		"dataLayer": func(n *yaml.Node) *yaml.Node {
			return nonEmpty(filtered(n, map[string]func(*yaml.Node) *yaml.Node{"sources": drop, "injectDefaults": drop, "crossReplica": drop, "peerDiscovery": drop}))
		},
		"plugins": func(n *yaml.Node) *yaml.Node {
			return without(n, func(p *yaml.Node) bool {
				if a.isFlowControl(fieldOf(p, "type")) {
					return false
				}
				types[fieldOf(p, "type")] = true
				return true
			})
		},
	})
	return ours, slices.Sorted(maps.Keys(types))
}

// processing reports whether a file or a flag says who chooses endpoints, and where Envoy is
// listened for. A file that cannot be read is for others to complain of.
func processing(data []byte, given map[string][]string) (chooser, listens bool) {
	var f struct {
		Weir struct {
			ExtProc struct {
				Listen        string
				Picker        struct{ Addresses []string }
				AdmissionOnly bool `yaml:"admissionOnly"`
			} `yaml:"extProc"`
		}
	}
	_ = yaml.Unmarshal(data, &f)
	of := &f.Weir.ExtProc
	chooser = given["picker"] != nil || given["admission-only"] != nil || len(of.Picker.Addresses) > 0 || of.AdmissionOnly
	return chooser, given["ext-proc"] != nil || of.Listen != ""
}

// writeFlags writes what flags say into a file, in place of what that says.
func (b *builder) writeFlags(file *yaml.Node, given map[string][]string) error {
	paths := []string{"weir.extProc.listen"} // which a picker asks for
	for _, f := range flags {
		if given[f.Name] == nil {
			continue
		}
		for _, path := range f.paths {
			head, _, _ := strings.Cut(path, "[]")
			if head == maxConcurrency {
				paths = append(paths, "plugins", "flowControl.saturationDetector")
				remove(file, "saturationDetector")
			} else {
				paths = append(paths, head)
			}
		}
	}
	if slices.ContainsFunc(paths, func(p string) bool { return slices.Contains(endpointPlaces, p) }) {
		for _, place := range append(endpointPlaces, "weir.discovery.once", "dataLayer.discovery") {
			remove(file, place)
		}
	}
	for _, path := range paths {
		_, value := fieldAt(reflect.ValueOf(b.file).Elem(), path)
		if !value.IsValid() {
			continue
		}
		written := &yaml.Node{}
		if path == "plugins" { // the rest of them stand there already
			value = value.Slice(value.Len()-1, value.Len())
		}
		if err := written.Encode(value.Interface()); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if old := lookUp(file, path); path == "plugins" && old != nil {
			old.Content = append(old.Content, written.Content...)
		} else {
			set(file, path, written)
		}
	}
	return nil
}

// referred reports whether a profile refers to a plug-in, as it may to a detector, which is a
// filter there.
func referred(root, plugin *yaml.Node) bool {
	name := fieldOf(plugin, "name")
	if name == "" {
		name = fieldOf(plugin, "type")
	}
	profiles := valueOf(root, "schedulingProfiles")
	if profiles == nil {
		return false
	}
	for _, profile := range profiles.Content {
		refs := valueOf(profile, "plugins")
		if refs != nil && slices.ContainsFunc(refs.Content, func(ref *yaml.Node) bool { return fieldOf(ref, "pluginRef") == name }) {
			return true
		}
	}
	return false
}
