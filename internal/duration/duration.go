// Package duration writes times as people do.
package duration

import (
	"strings"
	"time"
)

// Short writes a time without the parts that are nothing, such as 1h30m for 1h30m0s.
func Short(d time.Duration) string {
	text := d.String()
	for _, nothing := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, nothing) {
			text = text[:len(text)-2]
		}
	}
	return text
}
