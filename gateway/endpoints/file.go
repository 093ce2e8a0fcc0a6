package endpoints

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"
)

// Bounds on an endpoint file.
const (
	maxFile      = 4 << 20
	maxEndpoints = 10_000
)

// File is a Source that reads a YAML file: a list of endpoints, or one under the key
// endpoints. A file with an error in it changes nothing.
type File struct {
	// Path is the path of the file.
	Path string
	// Every is how often it is read; 1 s by default. Its time of change is not trusted:
	// what is mounted there, such as a ConfigMap, may be replaced without changing it.
	Every time.Duration
	// Once is set to read it at the start only.
	Once bool
	// Logger gets what is wrong with it; nothing by default.
	Logger *zap.Logger
}

// entry is an endpoint in a file.
type entry struct {
	Name        string            `yaml:"name"`
	Namespace   string            `yaml:"namespace"`
	Scheme      string            `yaml:"scheme"`
	Address     string            `yaml:"address"`
	Port        string            `yaml:"port"`
	MetricsHost string            `yaml:"metricsHost"`
	Labels      map[string]string `yaml:"labels"`
}

// Run implements Source.
func (f *File) Run(ctx context.Context, update func([]Spec)) error {
	log, every := f.Logger, f.Every
	if log == nil {
		log = zap.NewNop()
	}
	if every <= 0 {
		every = time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var seen []byte
	failed := ""
	for {
		data, err := f.read()
		if err == nil && !bytes.Equal(data, seen) {
			seen = data
			var specs []Spec
			if specs, err = parseFile(data); err == nil {
				update(specs)
				failed = ""
			}
		}
		if err != nil && err.Error() != failed {
			failed = err.Error()
			log.Error("the endpoint file cannot be used; the endpoints stay as they are", zap.String("file", f.Path), zap.Error(err))
		}
		if f.Once && err == nil {
			<-ctx.Done()
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Check reads the file and returns what is wrong with it.
func (f *File) Check() error {
	data, err := f.read()
	if err != nil {
		return err
	}
	_, err = parseFile(data)
	return err
}

func (f *File) read() ([]byte, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, fmt.Errorf("endpoint file: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("endpoint file: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("endpoint file: %w: it is larger than %d bytes", ErrSpec, maxFile)
	}
	return data, nil
}

// parseFile reads a file's endpoints.
func parseFile(data []byte) ([]Spec, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		return nil, fmt.Errorf("endpoint file: %w: %w", ErrSpec, err)
	}
	var entries []entry
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var err error
	if len(node.Content) > 0 && node.Content[0].Kind == yaml.SequenceNode {
		err = d.Decode(&entries)
	} else {
		var file struct {
			Endpoints []entry `yaml:"endpoints"`
		}
		err = d.Decode(&file)
		entries = file.Endpoints
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("endpoint file: %w: %w", ErrSpec, err)
	}
	if len(entries) > maxEndpoints {
		return nil, fmt.Errorf("endpoint file: %w: %d endpoints, at most %d are allowed", ErrSpec, len(entries), maxEndpoints)
	}
	specs := make([]Spec, 0, len(entries))
	seen := make(map[string]int)
	for i := range entries {
		s, err := entries[i].spec()
		if err != nil {
			return nil, fmt.Errorf("endpoint file: endpoints[%d]: %w", i, err)
		}
		if first, twice := seen[s.Address()]; twice {
			return nil, fmt.Errorf("endpoint file: endpoints[%d]: %w: %s is listed already, as endpoints[%d]", i, ErrSpec, s.Address(), first)
		}
		seen[s.Address()] = i
		specs = append(specs, s)
	}
	return specs, nil
}

// spec checks an entry.
func (e *entry) spec() (Spec, error) {
	port, err := strconv.Atoi(e.Port)
	switch {
	case e.Address == "":
		return Spec{}, fmt.Errorf("%w: address is missing; give an IP address or a host name", ErrSpec)
	case net.ParseIP(e.Address) == nil && !hostname(e.Address):
		return Spec{}, fmt.Errorf("%w: address %q is neither an IP address nor a host name; give the port in the field port", ErrSpec, e.Address)
	case e.Port == "":
		return Spec{}, fmt.Errorf("%w: port is missing", ErrSpec)
	case err != nil || port < 1 || port > 65535:
		return Spec{}, fmt.Errorf("%w: port %q is not from 1 to 65535", ErrSpec, e.Port)
	case e.Scheme != "" && e.Scheme != "http" && e.Scheme != "https":
		return Spec{}, fmt.Errorf("%w: scheme %q is neither http nor https", ErrSpec, e.Scheme)
	}
	scheme := e.Scheme
	if scheme == "" {
		scheme = "http"
	}
	name := e.Name
	if e.Namespace != "" && name != "" {
		name = e.Namespace + "/" + name
	}
	s := At(name, scheme, e.Address, e.Port)
	s.Labels = e.Labels
	if e.MetricsHost != "" {
		host := e.MetricsHost
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(host, e.Port)
		}
		s.Metrics = &url.URL{Scheme: scheme, Host: host, Path: "/metrics"}
		if _, err := url.Parse(s.Metrics.String()); err != nil {
			return Spec{}, fmt.Errorf("%w: metricsHost %q is not a host, or host and port, such as 10.0.0.7:9400", ErrSpec, e.MetricsHost)
		}
	}
	return s, nil
}

// hostname reports whether the text can be a host's name.
func hostname(text string) bool {
	if len(text) > 253 {
		return false
	}
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}
