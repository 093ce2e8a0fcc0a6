package stream

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/weirflow/weir/coordinator"
)

// Where a fleet has a key, both ends of a connection prove that they know it before
// anything else is read, as who they say they are:
//
//	dialer                                         listener
//	  ── claim: version, id, run, nonce ──────────>
//	  <───────── claim: version, id, run, nonce ──
//	  ── proof: MAC("dialer", both claims, channel) ──>   checked before it proves anything
//	  <── proof: MAC("listener", both claims, channel) ──
//
// The MAC is HMAC-SHA256 under a key that HKDF draws from the fleet's. Nonces are fresh,
// so that no proof is good twice; a proof names its side, so that it cannot be returned
// to its sender; and the channel is keying material exported from the TLS connection that
// all this goes by, so that who stands between the two has another one on each side and
// nothing to pass on. Strangers meet fixed sizes here and get no further.

// claim is who one end says it is.
type claim struct {
	Version     uint32
	Replica     string
	Incarnation uint64
	nonce       [nonceSize]byte
}

const (
	nonceSize = 32
	// claimSize is a claim's without the id.
	claimSize = 4 + 8 + nonceSize
	// maxFrame bounds what is read of who has proven nothing.
	maxFrame = 1024
)

// frameKind is the first byte of a frame.
type frameKind byte

const (
	claimFrame   frameKind = 1
	proofFrame   frameKind = 2
	refusalFrame frameKind = 3 // with words for the other end
)

// errUnproven wraps why the other end's proof is none.
var errUnproven = errors.New("it does not prove that it is of this fleet")

// proofKey is the key of proofs, drawn from the fleet's: no key is used for two ends.
func proofKey(fleet []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, fleet, nil, "weir ticket stream proof v1", sha256.Size)
}

// prover is one end of an exchange of proofs.
type prover struct {
	key     []byte
	channel []byte // exported from the connection
	dialer  bool
	self    claim
	// accept says whether the other may be who it claims to be.
	accept func(claim) error
}

// prove exchanges claims and proofs, and returns who the other end is. Where it is not
// content it says so to the other end, in words.
func (p *prover) prove(conn io.ReadWriter) (claim, error) {
	if _, err := rand.Read(p.self.nonce[:]); err != nil {
		return claim{}, err
	}
	other, err := p.exchange(conn)
	if err != nil && !errors.Is(err, errRefused) {
		_ = writeFrame(conn, refusalFrame, []byte(err.Error())) // it may be gone
	}
	return other, err
}

func (p *prover) exchange(conn io.ReadWriter) (other claim, err error) {
	if p.dialer {
		if err := writeFrame(conn, claimFrame, p.self.encode()); err != nil {
			return claim{}, err
		}
	}
	body, err := readFrame(conn, claimFrame)
	if err != nil {
		return claim{}, err
	}
	if other, err = decodeClaim(body); err != nil {
		return claim{}, err
	}
	if err := p.accept(other); err != nil {
		return claim{}, err
	}
	claims := [2]claim{p.self, other}
	if !p.dialer {
		claims = [2]claim{other, p.self}
		if err := writeFrame(conn, claimFrame, p.self.encode()); err != nil {
			return claim{}, err
		}
		if err := p.check(conn, true, claims); err != nil {
			return claim{}, err
		}
		return other, writeFrame(conn, proofFrame, p.mac(false, claims))
	}
	if err := writeFrame(conn, proofFrame, p.mac(true, claims)); err != nil {
		return claim{}, err
	}
	return other, p.check(conn, false, claims)
}

// check reads the other end's proof.
func (p *prover) check(conn io.Reader, dialer bool, claims [2]claim) error {
	proof, err := readFrame(conn, proofFrame)
	if err != nil {
		return err
	}
	if !hmac.Equal(proof, p.mac(dialer, claims)) {
		return fmt.Errorf("%w: its gossip key is another one, or somebody stands in between", errUnproven)
	}
	return nil
}

// mac is the proof of one side. What goes into it is of fixed size or preceded by its
// length.
func (p *prover) mac(dialer bool, claims [2]claim) []byte {
	mac := hmac.New(sha256.New, p.key)
	side := byte(0)
	if dialer {
		side = 1
	}
	mac.Write([]byte{side})
	for _, part := range [][]byte{claims[0].encode(), claims[1].encode(), p.channel} {
		mac.Write(binary.BigEndian.AppendUint16(nil, uint16(len(part))))
		mac.Write(part)
	}
	return mac.Sum(nil)
}

func (c *claim) encode() []byte {
	b := make([]byte, 0, claimSize+len(c.Replica))
	b = binary.BigEndian.AppendUint32(b, c.Version)
	b = binary.BigEndian.AppendUint64(b, c.Incarnation)
	b = append(b, c.nonce[:]...)
	return append(b, c.Replica...)
}

func decodeClaim(b []byte) (c claim, err error) {
	if len(b) <= claimSize || len(b) > claimSize+maxID {
		return c, fmt.Errorf("%w: a claim of %d bytes", ErrMalformed, len(b))
	}
	c.Version, c.Incarnation = binary.BigEndian.Uint32(b), binary.BigEndian.Uint64(b[4:])
	copy(c.nonce[:], b[12:])
	c.Replica = string(b[claimSize:])
	return c, nil
}

// errRefused wraps the other end's words.
var errRefused = errors.New("the other replica refuses")

func writeFrame(w io.Writer, kind frameKind, body []byte) error {
	body = body[:min(len(body), maxFrame)]
	frame := append([]byte{byte(kind)}, binary.BigEndian.AppendUint16(nil, uint16(len(body)))...)
	if _, err := w.Write(append(frame, body...)); err != nil {
		return fmt.Errorf("prove who this is: %w", err)
	}
	return nil
}

// readFrame reads a frame of the kind.
func readFrame(r io.Reader, kind frameKind) ([]byte, error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: it says nothing: %w", errUnproven, err)
	}
	size := int(binary.BigEndian.Uint16(head[1:]))
	if size > maxFrame {
		return nil, fmt.Errorf("%w: a frame of %d bytes", ErrMalformed, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("%w: it ends early: %w", errUnproven, err)
	}
	switch frameKind(head[0]) {
	case kind:
		return body, nil
	case refusalFrame:
		return nil, fmt.Errorf("%w: %s", errRefused, body)
	default:
		return nil, fmt.Errorf("%w: a frame of kind %d", ErrMalformed, head[0])
	}
}

// acceptable refuses who cannot be a replica of the fleet by what it claims, proven or
// not; self is this replica's id.
func acceptable(self string, c claim, latest uint64) error {
	switch version := int(c.Version); {
	case c.Replica == self:
		return fmt.Errorf("replica id %q is this replica's own: give each replica another --replica-id", c.Replica)
	case version < coordinator.ProtocolVersion-1 || version > coordinator.ProtocolVersion+1:
		return fmt.Errorf("replica %q speaks protocol version %d, this one %d: one apart is the most that works",
			c.Replica, version, coordinator.ProtocolVersion)
	case c.Incarnation > latest:
		return fmt.Errorf("replica %q says that it started in the future: set its clock right, or this one's", c.Replica)
	}
	return nil
}
