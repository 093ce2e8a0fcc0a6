package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"

	"go.yaml.in/yaml/v3"
)

// Print writes the effective configuration: the file with its defaults.
func (p *Plan) Print() ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&p.File); err != nil {
		return nil, fmt.Errorf("print the configuration: %w", err)
	}
	return out.Bytes(), nil
}

// Show writes the effective configuration for others to see: as Print, without the
// password that the ledger's address may hold. All other secrets are in files of their own.
func (p *Plan) Show() ([]byte, error) {
	shown := *p
	if u, err := url.Parse(p.File.Weir.Store.Redis); err == nil {
		shown.File.Weir.Store.Redis = u.Redacted()
	} else {
		shown.File.Weir.Store.Redis = "(not shown: it cannot be read)"
	}
	return shown.Print()
}

// Fingerprint is the same for replicas whose [Plan.Settings] are, of all their pools.
func (p *Plan) Fingerprint() (string, error) {
	sum := sha256.New()
	for _, pool := range p.Pools {
		if p.Several() {
			fmt.Fprintln(sum, pool.File.Weir.Pool)
		}
		settings, err := pool.Settings()
		if err != nil {
			return "", err
		}
		for _, s := range settings {
			fmt.Fprintln(sum, s.Key, s.Print)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:4]), nil
}
