package modelapi

import "bytes"

// Bounds on what is kept of a JSON answer while it streams through.
const (
	maxUsage = 8 << 10 // of the text of its usage
	maxName  = 16      // of a member's name; longer ones are of no interest
)

// usageMember finds the member "usage" of a JSON object that comes in parts, wherever it is
// and whatever comes after it. Nothing else of the object is kept.
type usageMember struct {
	depth   int  // of objects and arrays that are open
	text    bool // in a string
	escaped bool // after a backslash there
	naming  bool // the object's next string is a member's name
	name    []byte
	taking  bool // in the value of the member
	value   []byte
	none    bool // it is no object, or its end has come
}

// take takes in a part, and calls found with the text of the member, once for each. The text is
// not to be kept.
func (u *usageMember) take(part []byte, found func(text []byte)) {
	for i := 0; i < len(part) && !u.none; {
		if u.text {
			i += u.takeText(part[i:])
			continue
		}
		c := part[i]
		i++
		u.takeMark(c, found)
		if u.taking {
			u.keep(part[i-1 : i])
		}
	}
}

// takeText takes in what there is of a string, and returns how much that was.
func (u *usageMember) takeText(part []byte) int {
	n := 0
	for u.text && n < len(part) {
		if u.escaped {
			u.escaped = false
			n++
			continue
		}
		next := bytes.IndexAny(part[n:], `"\`)
		if next < 0 {
			n = len(part)
			break
		}
		n += next + 1
		u.escaped, u.text = part[n-1] == '\\', part[n-1] == '\\'
	}
	switch {
	case u.taking:
		u.keep(part[:n])
	case u.depth == 1 && u.naming:
		u.name = append(u.name, part[:min(n, maxName-len(u.name))]...)
	}
	return n
}

// takeMark takes in a byte outside strings.
func (u *usageMember) takeMark(c byte, found func(text []byte)) {
	switch c {
	case ' ', '\t', '\r', '\n':
	case '"':
		u.text, u.none = true, u.depth == 0
	case '{', '[':
		if u.none = u.depth == 0 && c == '['; u.depth == 0 {
			u.naming = true
		}
		u.depth++
	case '}', ']':
		if u.depth == 1 {
			u.member(found)
		}
		u.depth--
		u.none = u.depth <= 0
	case ',':
		if u.depth == 1 {
			u.member(found)
			u.naming = true
		}
	case ':':
		if u.depth == 1 {
			u.naming, u.taking = false, string(u.name) == `usage"`
			u.name = u.name[:0]
		}
	default:
		u.none = u.depth == 0
	}
}

// member ends a member of the object.
func (u *usageMember) member(found func(text []byte)) {
	if u.taking && len(u.value) <= maxUsage {
		found(bytes.TrimPrefix(u.value, []byte{':'}))
	}
	u.taking, u.value, u.name = false, u.value[:0], u.name[:0]
}

// keep keeps a part of the member's value; beyond the bound, only that it is too long.
func (u *usageMember) keep(part []byte) {
	u.value = append(u.value, part[:min(len(part), maxUsage+1-len(u.value))]...)
}
