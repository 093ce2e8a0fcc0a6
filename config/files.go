package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/weirflow/weir/coordinator/gossip"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
)

// readable reports a file that is named and cannot be read.
func (c *checks) readable(path, file string) {
	if file == "" || !c.files {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		c.wrong(path, "%v", fileError(err))
		return
	}
	defer f.Close() //nolint:errcheck // it was only read
	if info, err := f.Stat(); err == nil && info.IsDir() {
		c.wrong(path, "is a directory; name a file")
	}
}

// authority reports a file of CAs that cannot be read, or that holds none.
func (c *checks) authority(path, file string) {
	before := len(c.problems)
	c.readable(path, file)
	if file == "" || !c.files || len(c.problems) > before {
		return
	}
	pem, err := os.ReadFile(file)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		err = errNoCertificate
	}
	if err != nil {
		c.wrong(path, "%v", fileError(err))
	}
}

var errNoCertificate = errors.New("holds no certificate in PEM form")

// filled reports a secret that cannot be read, and warns of an empty one, which is read again
// later, and of what that means until then.
func (c *checks) filled(path, file, meanwhile string) {
	before := len(c.problems)
	c.secret(path, file)
	if file == "" || !c.files || len(c.problems) > before {
		return
	}
	if text, err := os.ReadFile(file); err != nil {
		c.wrong(path, "%v", fileError(err))
	} else if strings.TrimSpace(string(text)) == "" {
		c.warn(path, "is empty: until it is not, %s", meanwhile)
	}
}

// gossipKey reports a file that holds no key for gossip.
func (c *checks) gossipKey(file string) {
	const path = "weir.fleet.gossipKeyFile"
	before := len(c.problems)
	c.secret(path, file)
	if file == "" || !c.files || len(c.problems) > before {
		return
	}
	if _, err := gossip.LoadKey(file); err != nil {
		c.wrong(path, "%v", fileError(err))
	}
}

// kubeconfig reports a file that does not say how a cluster is reached.
func (c *checks) kubeconfig(path, file string) {
	before := len(c.problems)
	c.readable(path, file)
	if file == "" || !c.files || len(c.problems) > before {
		return
	}
	if _, err := kubernetes.Connect(file); err != nil {
		c.wrong(path, "%v", err)
	}
}

// secret reports a file that is named and cannot be read, and warns of one that more
// people can than should.
func (c *checks) secret(path, file string) {
	before := len(c.problems)
	c.readable(path, file)
	if file == "" || !c.files || len(c.problems) > before {
		return
	}
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" { // where the mode says nothing
		return
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o002 != 0:
		c.warn(path, "everybody on this machine can change it (mode %#o); chmod 600", mode)
	case mode&0o004 != 0:
		c.warn(path, "everybody on this machine can read it (mode %#o); chmod 600", mode)
	}
}

// keyPair reports a certificate and a key that are not there, or do not belong together.
func (c *checks) keyPair(certPath, keyPath, cert, key string) {
	switch {
	case cert == "" && key == "":
		return
	case key == "":
		c.wrong(certPath, "give its key by %s, too", c.called(keyPath, certPath))
		return
	case cert == "":
		c.wrong(keyPath, "give its certificate by %s, too", c.called(certPath, keyPath))
		return
	}
	before := len(c.problems)
	c.readable(certPath, cert)
	c.secret(keyPath, key)
	if !c.files || len(c.problems) > before {
		return
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		c.wrong(certPath, "%v", err)
	}
}

// fileError is what is wrong with a file whose name stands beside it.
func fileError(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
