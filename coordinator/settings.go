package coordinator

import "strings"

// Setting is a part of a replica's effective configuration that should be the same at all
// replicas.
type Setting struct {
	// Key is short, and the same in all versions; Path is where it is set.
	Key, Path string
	// Print is its fingerprint.
	Print string
}

// Prints writes settings for others to compare with theirs: key=print,key=print,...
func Prints(settings []Setting) string {
	prints := make([]string, 0, len(settings))
	for _, s := range settings {
		prints = append(prints, s.Key+"="+s.Print)
	}
	return strings.Join(prints, ",")
}

// Differing names the settings that another replica has otherwise, by what Prints wrote
// there. Those that it does not have count as the same.
func Differing(own []Setting, theirs string) string {
	told := make(map[string]string)
	for setting := range strings.SplitSeq(theirs, ",") {
		if key, print, ok := strings.Cut(setting, "="); ok {
			told[key] = print
		}
	}
	var paths []string
	for _, s := range own {
		if print, known := told[s.Key]; known && print != s.Print {
			paths = append(paths, s.Path)
		}
	}
	return strings.Join(paths, ", ")
}
