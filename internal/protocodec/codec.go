// Package protocodec has gRPC carry messages in buffers that are at most twice as large.
//
// gRPC's own codec takes a buffer of 1 MB, and clears it, for each message beyond 32 kB, by which a
// body of 64 kB that waits for its peer's window takes sixteen times its size.
package protocodec

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// codec is a codec of messages of protocol buffers.
type codec struct{ buffers mem.BufferPool }

// New returns a codec in place of gRPC's for protocol buffers, under the same name. It is safe for
// concurrent use.
func New() encoding.CodecV2 {
	buffers, err := mem.NewBinaryTieredBufferPool(8, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22)
	if err != nil {
		panic(err) // it asks for sizes that no machine has
	}
	return &codec{buffers}
}

// Name is by which peers ask for it.
func (*codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (c *codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("marshal a %T, which is no message", v)
	}
	size := proto.Size(m)
	if mem.IsBelowBufferPoolingThreshold(size) {
		b, err := proto.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("marshal a message: %w", err)
		}
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	b := c.buffers.Get(size)
	if _, err := (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend((*b)[:0], m); err != nil {
		c.buffers.Put(b)
		return nil, fmt.Errorf("marshal a message: %w", err)
	}
	return mem.BufferSlice{mem.NewBuffer(b, c.buffers)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("unmarshal into a %T, which is no message", v)
	}
	b := data.MaterializeToBuffer(c.buffers)
	defer b.Free()
	if err := proto.Unmarshal(b.ReadOnlyData(), m); err != nil {
		return fmt.Errorf("unmarshal a message: %w", err)
	}
	return nil
}
