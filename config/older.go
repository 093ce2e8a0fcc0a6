package config

import "github.com/weirflow/weir/policies/saturation"

// olderThresholds is the name of the detector that the older section saturationDetector describes
// by its thresholds.
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
		b.wrong("saturationDetector.pluginRef", "a %s is described beside it; keep one", saturation.UtilizationType)
		return
	case b.file.FlowControl.SaturationDetector != nil:
		return // which holds
	}
	raw, err := NewRaw(parameters)
	if err != nil {
		b.wrong("saturationDetector", "%v", err)
		return
	}
	b.places[indexed("plugins", len(b.file.Plugins))+".parameters"] = b.places["saturationDetector"]
	b.file.Plugins = append(b.file.Plugins, Plugin{Name: olderThresholds, Type: saturation.UtilizationType, Parameters: raw})
	older.PluginRef = olderThresholds
}
