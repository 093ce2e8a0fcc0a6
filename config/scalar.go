package config

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Quantity is a count or a size: a number, or one with a suffix as Kubernetes
// writes them, such as 500, 1k, 10Gi. What is not whole is rounded up, and what is beyond the most
// is the most, as there.
type Quantity int64

// mostQuantity is the highest, of which nothing has more.
const mostQuantity = 1 << 62

// quantities is how one is written: sign, digits, and a suffix or an exponent.
var quantities = regexp.MustCompile(`^([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d{1,2}|)$`)

// suffixes are what a quantity is written with, the longer first.
var suffixes = []struct {
	text  string
	times float64
}{
	{"Ki", 1 << 10},
	{"Mi", 1 << 20},
	{"Gi", 1 << 30},
	{"Ti", 1 << 40},
	{"Pi", 1 << 50},
	{"Ei", 1 << 60},
	{"k", 1e3},
	{"M", 1e6},
	{"G", 1e9},
	{"T", 1e12},
	{"P", 1e15},
	{"E", 1e18},
	{"", 1},
}

func (q *Quantity) parse(text string) error {
	parts := quantities.FindStringSubmatch(text)
	if parts == nil || len(text) > 64 {
		return errors.New("must be a number such as 500, 1k or 10Gi")
	}
	n, times := new(big.Rat), new(big.Rat)
	n.SetString(parts[1]) // has the form of a number
	switch {
	case len(parts[2]) > 1 && parts[2][1] != 'i':
		times.SetString("1" + parts[2])
	case thousandths[parts[2]] > 0:
		times.SetFrac64(1, thousandths[parts[2]])
	default:
		for _, s := range suffixes {
			if s.text == parts[2] {
				times.SetFloat64(s.times)
			}
		}
	}
	n.Mul(n, times)
	whole, rest := new(big.Int).DivMod(n.Num(), n.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	if *q = Quantity(whole.Int64()); !whole.IsInt64() || whole.CmpAbs(big.NewInt(mostQuantity)) > 0 {
		*q = Quantity(mostQuantity * whole.Sign())
	}
	return nil
}

// thousandths are the suffixes of what is less than one.
var thousandths = map[string]int64{"m": 1e3, "u": 1e6, "n": 1e9}

// String writes it with the suffix that suits it.
func (q Quantity) String() string {
	for _, s := range suffixes {
		if n := float64(q) / s.times; s.times > 1 && n >= 1 && n < 1024 && n == math.Trunc(n) {
			return strconv.FormatFloat(n, 'f', -1, 64) + s.text
		}
	}
	return strconv.FormatInt(int64(q), 10)
}

// MarshalJSON writes the number.
func (q Quantity) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(q), 10), nil }

// Duration is a time, written like "60s" or "1m30s".
type Duration time.Duration

func (d *Duration) parse(text string) error {
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("must be a time with its unit, such as 60s or 250ms")
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

// Share is a part of the pool, above 0 and at most 1, written as a percentage.
type Share float64

func (s *Share) parse(text string) error {
	digits, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if !ok || err != nil || !(n > 0 && n <= 100) {
		return errors.New("must be a percentage above 0% and at most 100%, such as 20%")
	}
	*s = Share(n / 100)
	return nil
}

// String implements fmt.Stringer.
func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'f', -1, 64) + "%" }

// MarshalJSON writes it as it is written in a file.
func (s Share) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalYAML implements yaml.Marshaler.
func (s Share) MarshalYAML() (any, error) { return s.String(), nil }

// Maximum is a part of the pool, written as a percentage, or a number of requests; zero is
// none.
type Maximum struct {
	Part     Share
	Requests int64
}

func (m *Maximum) parse(text string) error {
	*m = Maximum{}
	if strings.HasSuffix(text, "%") && m.Part.parse(text) == nil {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > 1e9 {
		return errors.New("must be a percentage above 0% and at most 100%, such as 50%, or a number of requests from 1")
	}
	m.Requests = n
	return nil
}

// String implements fmt.Stringer.
func (m Maximum) String() string {
	switch {
	case m.Part > 0:
		return m.Part.String()
	case m.Requests > 0:
		return strconv.FormatInt(m.Requests, 10)
	}
	return ""
}

// above reports whether it is more than another, whatever the pool takes: a number and a part
// are not compared.
func (m Maximum) above(other Maximum) bool {
	return other.Part > 0 && m.Part > other.Part || other.Requests > 0 && m.Requests > other.Requests
}

// IsZero reports whether there is none.
func (m Maximum) IsZero() bool { return m == Maximum{} }

// MarshalJSON writes it as it is written in a file.
func (m Maximum) MarshalJSON() ([]byte, error) { return json.Marshal(m.written()) }

// MarshalYAML implements yaml.Marshaler.
func (m Maximum) MarshalYAML() (any, error) { return m.written(), nil }

func (m Maximum) written() any {
	if m.Part > 0 {
		return m.Part.String()
	}
	return m.Requests
}
