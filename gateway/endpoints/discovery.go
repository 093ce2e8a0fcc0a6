package endpoints

import (
	"encoding/json"
	"fmt"

	"github.com/weirflow/weir/policies"
)

// FileDiscoveryType is the type name of [FileDiscovery].
const FileDiscoveryType = "file-discovery"

// FileDiscovery is the plug-in by which a configuration names an endpoint file.
type FileDiscovery struct {
	policies.Named `json:"-"`
	// Path is the path of the file. WatchFile is whether it is read again when it
	// changes; true by default.
	Path      string `json:"path"`
	WatchFile bool   `json:"watchFile"`
}

// FileDiscoveryFactory is the factory of [FileDiscoveryType].
func FileDiscoveryFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	d := &FileDiscovery{Named: policies.NewNamed(FileDiscoveryType, name), WatchFile: true}
	if err := policies.DecodeParameters(parameters, d); err != nil {
		return nil, err
	}
	if d.Path == "" {
		return nil, fmt.Errorf("%w: path is missing; give the file with the endpoints", policies.ErrParameters)
	}
	return d, nil
}
