package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, "ca", time.Hour, true)
	return a
}

// sign writes name.pem and name.key, valid for the time from now.
func (a *authority) sign(t *testing.T, name string, valid time.Duration, ca bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid),
		DNSNames: []string{name}, IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := a.cert, a.key
	if ca {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{
		".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(a.dir, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) config(t *testing.T, name string, trusted *authority) *tls.Config {
	t.Helper()
	cfg, err := LoadTLS(filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key"), filepath.Join(trusted.dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestTLS lets in whose certificate the fleet's CA signed for its id, and nobody whose
// certificate expired, is another replica's or another CA's, or is missing.
func TestTLS(t *testing.T) {
	fleet, other := newAuthority(t), newAuthority(t)
	for _, name := range []string{"a", "b", "c"} {
		fleet.sign(t, name, time.Hour, false)
	}
	other.sign(t, "a", time.Hour, false)
	late := newAuthority(t)
	late.cert, late.key = fleet.cert, fleet.key
	late.sign(t, "a", -time.Hour, false)
	expired := late.config(t, "a", fleet)
	for name, tc := range map[string]struct {
		tls  *tls.Config
		want string // in the dialing replica's log; "" for a stream
	}{
		"its own":        {fleet.config(t, "a", fleet), ""},
		"another's":      {fleet.config(t, "c", fleet), `its certificate is not replica "a"'s`},
		"expired":        {expired, "certificate"},
		"of another CA":  {other.config(t, "a", fleet), "certificate"},
		"no certificate": {nil, "dial"},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, "a", func(c *Config) { c.TLS = tc.tls })
			b := start(t, "b", func(c *Config) { c.TLS = fleet.config(t, "b", fleet) })
			introduce(a, b)
			if tc.want != "" {
				a.waitLog(t, tc.want)
				if len(b.up) > 0 {
					t.Error("there is a stream")
				}
				return
			}
			wait(t, "the stream", b.up)
		})
	}
	if _, err := LoadTLS("nowhere.pem", "nowhere.key", "nowhere.pem"); err == nil {
		t.Error("a certificate that is not there was loaded")
	}
}
