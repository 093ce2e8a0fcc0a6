package serving

import "encoding/binary"

// Kinds of frames of HTTP/2, and their flags.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameContinuation = 9

	flagEndStream  = 1
	flagEndHeaders = 4
	flagPadded     = 8
)

// frames reads one side of a connection of HTTP/2 as it comes, frame by frame.
type frames struct {
	skip   int // bytes before the first
	header [9]byte
	have   int // bytes of it
	rest   int // bytes of the frame that are still to come, behind its header
	pad    int // of them, those at the end that are none of the data; −1 until they say themselves how many
	// Of the frame that comes:
	kind, flags byte
	stream      uint32
}

// come takes in what came next. It calls began at each frame's beginning, and data with what comes of a
// frame of data.
func (f *frames) come(p []byte, began func(*frames), data func([]byte)) {
	n := min(f.skip, len(p))
	f.skip, p = f.skip-n, p[n:]
	for len(p) > 0 {
		if f.rest == 0 {
			n := copy(f.header[f.have:], p)
			f.have, p = f.have+n, p[n:]
			if f.have < len(f.header) {
				return
			}
			f.have = 0
			f.rest = int(binary.BigEndian.Uint32(f.header[:4]) >> 8)
			f.kind, f.flags, f.pad = f.header[3], f.header[4], 0
			f.stream = binary.BigEndian.Uint32(f.header[5:]) & (1<<31 - 1)
			if f.kind == frameData && f.flags&flagPadded != 0 {
				f.pad = -1
			}
			began(f)
			continue
		}
		if f.pad < 0 {
			f.rest--
			f.pad, p = min(int(p[0]), f.rest), p[1:]
			continue
		}
		n := min(f.rest, len(p))
		if some := min(n, f.rest-f.pad); f.kind == frameData && some > 0 {
			data(p[:some])
		}
		f.rest, p = f.rest-n, p[n:]
	}
}
