package protocodec

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the one that it is in place of
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// sizes of messages: none, small, as large as Envoy takes of a body, and as gRPC takes.
var sizes = []int{0, 10, 1100, 5000, 62_000, 130_000, 4 << 20}

// TestBuffersAreNotMuchLarger wants what a message is carried in to be at most twice as large, and the
// message to be what gRPC's own codec reads and writes.
func TestBuffersAreNotMuchLarger(t *testing.T) {
	ours, theirs := New(), encoding.GetCodecV2("proto")
	for _, size := range sizes {
		m := wrapperspb.Bytes(bytes.Repeat([]byte{'x'}, size))
		for _, by := range [][2]encoding.CodecV2{{ours, theirs}, {theirs, ours}} {
			data, err := by[0].Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			var read wrapperspb.BytesValue
			if err := by[1].Unmarshal(data, &read); err != nil || !proto.Equal(m, &read) {
				t.Errorf("a message of %d bytes is read as one of %d: %v", size, len(read.GetValue()), err)
			}
			if by[0] == ours && size > 0 {
				if b := data[0].ReadOnlyData(); cap(b) > 2*len(b)+256 {
					t.Errorf("a message of %d bytes is carried in %d", len(b), cap(b))
				}
			}
			data.Free()
		}
	}
	if ours.Name() != theirs.Name() {
		t.Errorf("its name is %q, want %q", ours.Name(), theirs.Name())
	}
}

// TestOnlyMessages wants an error for what is none.
func TestOnlyMessages(t *testing.T) {
	c := New()
	if _, err := c.Marshal("text"); err == nil {
		t.Error("a text was marshalled")
	}
	var text string
	if err := c.Unmarshal(nil, &text); err == nil {
		t.Error("a text was unmarshalled")
	}
}

// BenchmarkCodec carries a part of a body as large as Envoy takes.
func BenchmarkCodec(b *testing.B) {
	for _, by := range []struct {
		name  string
		codec encoding.CodecV2
	}{{"ours", New()}, {"grpc", encoding.GetCodecV2("proto")}} {
		b.Run(by.name, func(b *testing.B) {
			m := wrapperspb.Bytes(bytes.Repeat([]byte{'x'}, 62_000))
			b.ReportAllocs()
			for b.Loop() {
				data, err := by.codec.Marshal(m)
				if err != nil {
					b.Fatal(err)
				}
				var read wrapperspb.BytesValue
				if err := by.codec.Unmarshal(data, &read); err != nil {
					b.Fatal(err)
				}
				data.Free()
			}
		})
	}
}
