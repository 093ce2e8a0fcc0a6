package config

import (
	"strings"

	"github.com/weirflow/weir/policies/saturation"
)

// olderThresholds is the older section that describes a detector by its thresholds, and the name that
// this gets.
const olderThresholds = "saturationDetector"

// olderDetector declares the detector whose thresholds stand in the section saturationDetector, as
// they did before detectors were plug-ins.
func (b *builder) olderDetector() {
	older := b.file.SaturationDetector
	if older == nil {
		return
	}
	parameters := make(map[string]any)
	for name, value := range map[string]*Raw{
		"queueDepthThreshold": older.QueueDepthThreshold, "kvCacheUtilThreshold": older.KVCacheUtilThreshold,
		"metricsStalenessThreshold": older.MetricsStalenessThreshold,
	} {
		if value != nil {
			parameters[name] = value.node
		}
	}
	switch {
	case len(parameters) == 0:
		return
	case older.PluginRef != "":
		b.wrong(olderThresholds+".pluginRef", "a %s is described beside it; keep one", saturation.UtilizationType)
		return
	case b.file.FlowControl.SaturationDetector != nil:
		return // which holds
	}
	raw, err := newRaw(parameters)
	if err != nil {
		b.wrong(olderThresholds, "%v", err)
		return
	}
	b.older = indexed("plugins", len(b.file.Plugins))
	b.places[b.older+".parameters"] = b.places[olderThresholds]
	b.file.Plugins = append(b.file.Plugins, Plugin{Name: olderThresholds, Type: saturation.UtilizationType, Parameters: raw})
	older.PluginRef = olderThresholds
}

// olderParameters reports what is wrong with a threshold, where it stands.
func (a *assembly) olderParameters(text string) {
	name, _, _ := strings.Cut(text, " ")
	path := join(olderThresholds, strings.TrimSuffix(name, ":"))
	if _, must, ok := strings.Cut(text, ", it "); ok && a.given(path) {
		a.wrong(path, "%s", must)
		return
	}
	a.wrong(olderThresholds, "%s", text)
}
