package config

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"runtime"
)

// readable reports a file that is named and cannot be read.
func (b *builder) readable(path, file string) {
	if file == "" || !b.files {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		b.wrong(path, "%v", fileError(err))
		return
	}
	_ = f.Close()
}

// secret reports a file that is named and cannot be read, and warns of one that more
// people can than should.
func (b *builder) secret(path, file string) {
	before := len(b.problems)
	b.readable(path, file)
	if file == "" || !b.files || len(b.problems) > before {
		return
	}
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" { // where the mode says nothing
		return
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o002 != 0:
		b.warn(path, "everybody on this machine can change it (mode %#o); chmod 600", mode)
	case mode&0o004 != 0:
		b.warn(path, "everybody on this machine can read it (mode %#o); chmod 600", mode)
	}
}

// keyPair reports a certificate and a key that are not there, or do not belong together.
func (b *builder) keyPair(certPath, keyPath, cert, key string) {
	switch {
	case cert == "" && key == "":
		return
	case key == "":
		b.wrong(certPath, "give its key by %s, too", b.called(keyPath, certPath))
		return
	case cert == "":
		b.wrong(keyPath, "give its certificate by %s, too", b.called(certPath, keyPath))
		return
	}
	before := len(b.problems)
	b.readable(certPath, cert)
	b.secret(keyPath, key)
	if !b.files || len(b.problems) > before {
		return
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		b.wrong(certPath, "%v", err)
	}
}

// fileError is what is wrong with a file whose name stands beside it.
func fileError(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
