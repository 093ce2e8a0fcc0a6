package endpoints

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// sample is one line of a text in Prometheus's format, as bytes of that line.
type sample struct {
	name, labels []byte // the labels as written, well formed, with the closing brace
	value        float64
}

var errSample = errors.New("not a sample of a metric")

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= '0' && c <= '9'
}

// parseSample reads a line that begins with a name of that length:
//
//	name{label="value",...} value [timestamp]
//
// What is wrong is said without what the line says, which is another with each reading.
func parseSample(line []byte, name int) (s sample, err error) {
	s.name = line[:name]
	rest := skipBlanks(line[name:])
	if len(rest) > 0 && rest[0] == '{' {
		labels := rest[1:]
		if rest, err = endOfLabels(labels); err != nil {
			return s, fmt.Errorf("%w: %s", err, s.name)
		}
		s.labels = labels[:len(labels)-len(rest)+1]
		rest = skipBlanks(rest[1:])
	}
	number, rest := cutBlank(rest)
	v, err := strconv.ParseFloat(string(number), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || bytes.ContainsAny(number, "pP_") {
		return s, fmt.Errorf("%w: %s", errSample, s.name)
	}
	if time, rest := cutBlank(skipBlanks(rest)); len(skipBlanks(rest)) > 0 || len(time) > 0 && !isInteger(time) {
		return s, fmt.Errorf("%w: %s", errSample, s.name)
	}
	if v > 0 { // neither negative nor no number: it comes from the network
		s.value = min(v, 1e10)
	}
	return s, nil
}

// endOfLabels returns what is left from the closing brace on.
func endOfLabels(rest []byte) ([]byte, error) {
	for {
		if rest = skipBlanks(rest); len(rest) > 0 && rest[0] == '}' {
			return rest, nil
		}
		var err error
		if _, _, rest, err = nextLabel(rest); err != nil {
			return nil, err
		}
	}
}

// nextLabel cuts one label off, with the comma behind it. Its value is as it was written.
func nextLabel(rest []byte) (name, value, after []byte, err error) {
	rest = skipBlanks(rest)
	if quoted, behind, ok := cutQuoted(rest); ok {
		name, rest = quoted, behind
	} else {
		n := 0
		for n < len(rest) && isWord(rest[n]) {
			n++
		}
		name, rest = rest[:n], rest[n:]
	}
	rest, assigned := bytes.CutPrefix(skipBlanks(rest), []byte("="))
	value, rest, quoted := cutQuoted(skipBlanks(rest))
	if len(name) == 0 || !assigned || !quoted {
		return nil, nil, nil, errSample
	}
	rest = skipBlanks(rest)
	switch {
	case len(rest) > 0 && rest[0] == ',':
		return name, value, rest[1:], nil
	case len(rest) > 0 && rest[0] == '}':
		return name, value, rest, nil
	}
	return nil, nil, nil, errSample
}

// cutQuoted cuts a text in quotation marks off.
func cutQuoted(rest []byte) (text, after []byte, ok bool) {
	if len(rest) == 0 || rest[0] != '"' {
		return nil, rest, false
	}
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			return rest[1:i], rest[i+1:], true
		}
	}
	return nil, rest, false
}

// label returns a label's value; nothing if there is none of that name.
func (s *sample) label(name string) []byte {
	for rest := skipBlanks(s.labels); len(rest) > 0 && rest[0] != '}'; rest = skipBlanks(rest) {
		found, value, after, err := nextLabel(rest)
		if err != nil {
			return nil // they were found well formed
		}
		if string(found) == name {
			return unescape(value)
		}
		rest = after
	}
	return nil
}

// unescape gives a label's value as it is meant.
func unescape(value []byte) []byte {
	if bytes.IndexByte(value, '\\') < 0 {
		return value
	}
	return []byte(escapes.Replace(string(value)))
}

var escapes = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n")

func skipBlanks(rest []byte) []byte {
	for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
		rest = rest[1:]
	}
	return rest
}

// cutBlank cuts off what comes before the first blank.
func cutBlank(rest []byte) (token, after []byte) {
	if i := bytes.IndexAny(rest, " \t"); i >= 0 {
		return rest[:i], rest[i:]
	}
	return rest, nil
}

func isInteger(text []byte) bool {
	_, err := strconv.ParseInt(string(text), 10, 64)
	return err == nil
}
