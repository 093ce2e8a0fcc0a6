package stream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/weirflow/weir/coordinator"
)

// Protocols that the ends of a connection choose from, by TLS: with proofs of the fleet's key,
// or without for want of one.
const (
	provenProtocol = "weir-ticket/3"
	plainProtocol  = "h2"
)

// channelLabel names the keying material that a proof is bound to.
const channelLabel = "EXPORTER-weir-ticket-stream"

// identified is what a connection says of its other end.
type identified struct {
	credentials.CommonAuthInfo
	proven *claim               // by the fleet's key; nil without one
	tls    *tls.ConnectionState // with certificates
}

// AuthType implements credentials.AuthInfo.
func (identified) AuthType() string { return "weir" }

// peerCredentials secure a connection between replicas and find out who is at its other
// end: by TLS with certificates, by the fleet's key within TLS, or both.
type peerCredentials struct {
	cfg  *Config
	tls  *tls.Config
	key  []byte              // of proofs; nil without the fleet's
	dial *coordinator.Member // who is dialed; nil for who listens
	// refused hears of connections that were not let in.
	refused func(from net.Addr, err error)
}

// newCredentials returns the credentials of a listener; nil where there is neither a key
// nor certificates.
func newCredentials(cfg *Config) (*peerCredentials, error) {
	if cfg.TLS == nil && cfg.Key == nil {
		return nil, nil //nolint:nilnil // connections in clear text are not an error
	}
	c := &peerCredentials{cfg: cfg, tls: cfg.TLS}
	if c.tls == nil {
		own, err := ephemeral()
		if err != nil {
			return nil, err
		}
		c.tls = own
	}
	c.tls = c.tls.Clone()
	c.tls.NextProtos = []string{plainProtocol}
	if cfg.Key != nil {
		var err error
		if c.key, err = proofKey(cfg.Key); err != nil {
			return nil, err
		}
		c.tls.NextProtos = []string{provenProtocol, plainProtocol}
	}
	return c, nil
}

// ephemeral is TLS under a certificate that nobody signed and that says nothing: who is
// at the other end is proven by the key, within the connection.
func ephemeral() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weir"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().AddDate(100, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		InsecureSkipVerify: true, //nolint:gosec // the proof is bound to the connection
	}, nil
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *peerCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn := tls.Server(raw, c.tls)
	info, err := c.identify(context.Background(), conn) // the server has set a deadline
	if err != nil {
		c.refused(raw.RemoteAddr(), err)
		_ = conn.Close()
		return nil, nil, err
	}
	known(raw)
	return conn, info, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (c *peerCredentials) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if err := raw.SetDeadline(time.Now().Add(handshake)); err != nil {
		return nil, nil, err
	}
	conn := tls.Client(raw, c.tls)
	info, err := c.identify(ctx, conn)
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, info, nil
}

// identify shakes hands and finds out who is at the other end.
func (c *peerCredentials) identify(ctx context.Context, conn *tls.Conn) (*identified, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		var clear tls.RecordHeaderError
		if errors.As(err, &clear) && c.key != nil {
			return nil, fmt.Errorf("%w: it does not speak TLS, as a replica without the gossip key: give it the key: %w", errUnproven, err)
		}
		return nil, err
	}
	state := conn.ConnectionState()
	info := &identified{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	if c.cfg.TLS != nil {
		info.tls = &state
	}
	if c.key == nil || state.NegotiatedProtocol != provenProtocol {
		switch {
		case c.cfg.TLS == nil:
			return nil, fmt.Errorf("%w: it has no gossip key: give it the key", errUnproven)
		case c.dial != nil:
			return info, info.is(c.dial.ID)
		}
		return info, nil // whose the certificate must be, the hello says
	}
	channel, err := state.ExportKeyingMaterial(channelLabel, nil, 32)
	if err != nil {
		return nil, err
	}
	p := &prover{
		key: c.key, channel: channel, dialer: c.dial != nil, accept: c.accept,
		self: claim{Version: coordinator.ProtocolVersion, Replica: c.cfg.Replica, Incarnation: c.cfg.Incarnation},
	}
	other, err := p.prove(conn)
	if err != nil {
		return nil, err
	}
	info.proven = &other
	return info, nil
}

// accept refuses claims that cannot be, and who was not dialed.
func (c *peerCredentials) accept(other claim) error {
	if err := acceptable(c.cfg.Replica, other, latest()); err != nil {
		return err
	}
	if c.dial != nil && other.Replica != c.dial.ID {
		return fmt.Errorf("%s is replica %q, not %q", c.dial.Address, other.Replica, c.dial.ID)
	}
	return nil
}

// latest is the latest incarnation that a replica can have, which is when it started:
// clocks may differ by a minute.
func latest() uint64 { return uint64(time.Now().Add(time.Minute).UnixNano()) }

// is reports whether the certificate that was shown is the replica's.
func (i *identified) is(replica string) error {
	shown := i.tls.PeerCertificates[0]
	if err := shown.VerifyHostname(replica); err != nil {
		return fmt.Errorf("%w: its certificate is not replica %q's: it must name the replica's id as a DNS name (it names %q)", errUnproven, replica, shown.DNSNames)
	}
	return nil
}

// authenticate wants the hello of a stream to be said by who is at its other end.
func (s *Streams) authenticate(ctx context.Context, replica string, incarnation uint64) error {
	if s.creds == nil {
		return nil // nobody has to prove anything
	}
	info, ok := infoOf(ctx).AuthInfo.(*identified)
	switch {
	case !ok:
		return errUnproven
	case info.proven == nil:
		return info.is(replica)
	case info.proven.Replica != replica || info.proven.Incarnation != incarnation:
		return fmt.Errorf("%w: it proved to be replica %q and says that it is %q", errUnproven, info.proven.Replica, replica)
	}
	return nil
}

// to returns credentials to dial a replica with.
func (c *peerCredentials) to(m coordinator.Member) *peerCredentials {
	d := *c
	d.dial = &m
	return &d
}

// Info implements credentials.TransportCredentials.
func (c *peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (c *peerCredentials) Clone() credentials.TransportCredentials {
	d := *c
	d.tls = c.tls.Clone()
	d.key = slices.Clone(c.key)
	return &d
}

// OverrideServerName implements credentials.TransportCredentials; names are no use here.
func (c *peerCredentials) OverrideServerName(string) error { return nil }
