package replica

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/picker"
)

// pickerWait is how long a replica waits at its start for a picker that can be used.
const pickerWait = 2 * time.Second

// delegation connects to the pickers that choose endpoints; nil for none.
func (r *replica) delegation(ctx context.Context) (*envoy.Delegation, error) {
	w := &r.plan.File.Weir.ExtProc.Picker
	if len(w.Addresses) == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	secure, err := pickerTLS(r.plan)
	if err != nil {
		return nil, err
	}
	pickers, err := picker.New(picker.Config{Addresses: w.Addresses, TLS: secure, Logger: r.log})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.plan.Name("weir.extProc.picker.addresses"), err)
	}
	r.later(pickers.Close)
	r.metrics.MustRegister(pickers)
	ctx, cancel := context.WithTimeout(ctx, pickerWait)
	defer cancel()
	if err := pickers.Await(ctx); err != nil {
		r.log.Warn("no picker can be used yet; its requests are answered as failOpen says", zap.Strings("pickers", w.Addresses), zap.Bool("fail_open", w.FailOpen))
	}
	d := &envoy.Delegation{Pickers: pickers, FailOpen: w.FailOpen}
	if w.Timeout != nil {
		d.Timeout = time.Duration(*w.Timeout)
	}
	return d, nil
}

// errNoCertificate says that a file of CAs has none.
var errNoCertificate = errors.New("there is no certificate in the file")

// pickerTLS is how pickers are spoken to; nil for plain text.
func pickerTLS(plan *config.Plan) (*tls.Config, error) {
	w := &plan.File.Weir.ExtProc.Picker
	if !w.TLS {
		return nil, nil //nolint:nilnil // plain text
	}
	c := &tls.Config{ServerName: w.ServerName, InsecureSkipVerify: w.InsecureSkipVerify, MinVersion: tls.VersionTLS12} //nolint:gosec // if it was asked for
	if w.CA != "" {
		pem, err := os.ReadFile(w.CA)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", plan.Name("weir.extProc.picker.ca"), err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %w", plan.Name("weir.extProc.picker.ca"), errNoCertificate)
		}
	}
	if w.Cert != "" {
		pair, err := tls.LoadX509KeyPair(w.Cert, w.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", plan.Name("weir.extProc.picker.cert"), err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
