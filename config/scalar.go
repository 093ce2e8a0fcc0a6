package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Quantity is a count or a size: a number, or one with a suffix as Kubernetes
// writes them, such as 500, 1k, 10Gi.
type Quantity int64

// suffixes are what a quantity may end with, the longer first.
var suffixes = []struct {
	text  string
	times float64
}{
	{"Ki", 1 << 10},
	{"Mi", 1 << 20},
	{"Gi", 1 << 30},
	{"Ti", 1 << 40},
	{"Pi", 1 << 50},
	{"k", 1e3},
	{"M", 1e6},
	{"G", 1e9},
	{"T", 1e12},
	{"P", 1e15},
	{"", 1},
}

func (q *Quantity) parse(text string) error {
	for _, s := range suffixes {
		digits, ok := strings.CutSuffix(text, s.text)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || math.IsNaN(n) || math.Abs(n*s.times) >= 1<<62 {
			break
		}
		*q = Quantity(math.Round(n * s.times))
		return nil
	}
	return fmt.Errorf(`%q is no quantity; write a number such as 500, "1k" or "10Gi"`, text)
}

// MarshalJSON writes the number.
func (q Quantity) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(q), 10), nil }

// Duration is a time, written like "60s" or "1m30s".
type Duration time.Duration

func (d *Duration) parse(text string) error {
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf(`%q is no duration; write one such as "60s" or "250ms"`, text)
	}
	*d = Duration(parsed)
	return nil
}

// String implements fmt.Stringer.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes it as it is written in a file.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// MarshalYAML implements yaml.Marshaler.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }
