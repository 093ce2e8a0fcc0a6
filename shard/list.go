package shard

// flowList is a doubly linked list through the empty flows of a Set.
type flowList struct{ front, back *flow }

func (l *flowList) pushBack(f *flow) {
	f.idlePrev, f.idleNext = l.back, nil
	if l.back == nil {
		l.front = f
	} else {
		l.back.idleNext = f
	}
	l.back = f
}

// remove takes the flow out; one that is not in the list is left alone.
func (l *flowList) remove(f *flow) {
	switch {
	case f.idlePrev != nil:
		f.idlePrev.idleNext = f.idleNext
	case l.front == f:
		l.front = f.idleNext
	default:
		return
	}
	if f.idleNext != nil {
		f.idleNext.idlePrev = f.idlePrev
	} else {
		l.back = f.idlePrev
	}
	f.idlePrev, f.idleNext = nil, nil
}
