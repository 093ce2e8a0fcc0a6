package serving

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// lookEvery is how often a handshake looks at the files of a certificate.
const lookEvery = time.Second

// Certificate is a certificate that follows its files: connections that come after a
// change are shown the new one. It is safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	log               *zap.Logger

	mu        sync.Mutex
	looked    time.Time
	cert, key []byte // what the files held
	current   *tls.Certificate
}

// NewCertificate reads a certificate and its key, in PEM.
func NewCertificate(certFile, keyFile string, log *zap.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.looked = time.Now()
	if err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// Config is for a server that shows it.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil },
	}
}

// get returns the certificate as the files held it within the last second. While they
// hold none, the last one stays.
func (c *Certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if err := c.read(); err != nil {
			c.log.Error("the certificate was not taken over; the old one stays", zap.String("file", c.certFile), zap.Error(err))
		}
	}
	return c.current
}

// read takes over what the files hold, if it has changed.
func (c *Certificate) read() error {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return fmt.Errorf("read the certificate's key: %w", err)
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	c.cert, c.key, c.current = cert, key, &pair
	return nil
}
