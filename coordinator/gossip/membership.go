package gossip

import (
	"net"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/coordinator"
)

// end is what is known of a run that has ended.
type end struct {
	incarnation uint64
	at          time.Time
}

// rememberEnds is how long a run is named that has ended: as long as a ledger keeps what a
// lost replica held, by default.
const rememberEnds = 10 * time.Minute

// known is a replica that gossips: what its metadata says, and its address for pings.
// memberlist's own nodes may only be read inside its callbacks.
type known struct {
	id string
	meta
	gossip *net.UDPAddr
}

func ids(members []coordinator.Member) []string {
	list := make([]string, 0, len(members))
	for _, m := range members {
		list = append(list, m.ID)
	}
	return list
}

// changed asks for a look at the members.
func (f *Fleet) changed() {
	select {
	case f.changes <- struct{}{}:
	default:
	}
}

// suspect pings a replica whose stream broke. One that does not answer is taken for dead
// here at once; gossip finds out for all.
func (f *Fleet) suspect(id string) {
	f.mu.Lock()
	k, ok := f.known[id]
	f.mu.Unlock()
	if !ok {
		return
	}
	for range 3 {
		if _, err := f.list.Ping(id, k.gossip); err == nil {
			return
		}
	}
	f.mu.Lock()
	f.suspected[id] = k.Incarnation
	f.dead[id] = time.Now()
	f.mu.Unlock()
	f.cfg.Logger.Info("taken for dead: its stream broke and it does not answer", zap.String("peer", id))
	f.changed()
}

// noteEnd notes that the process of a run has ended.
func (f *Fleet) noteEnd(id string, incarnation uint64) {
	f.mu.Lock()
	if f.ended[id].incarnation <= incarnation {
		f.ended[id] = end{incarnation, time.Now()}
	}
	f.mu.Unlock()
	f.changed()
}

// follow reports changes to the handler.
func (f *Fleet) follow() {
	timer := time.NewTicker(time.Second)
	defer timer.Stop()
	var last coordinator.Members
	for told := false; ; {
		select {
		case <-f.quit:
			return
		case <-f.changes:
		case <-timer.C: // the dead are forgotten, and suspects asked again
			f.recheck()
		}
		m := f.members()
		if told && m.Equal(last) {
			continue
		}
		told = true
		f.note(last, m)
		last = m
		f.streams.SetMembers(m.Live)
		f.handler.MembersChanged(m)
		if l := f.listen.Load(); l != nil {
			(*l).Live(ids(m.Live))
		}
	}
}

// recheck pings suspects.
func (f *Fleet) recheck() {
	f.mu.Lock()
	var suspects []known
	for id := range f.suspected {
		if k, ok := f.known[id]; ok {
			suspects = append(suspects, k)
		}
	}
	f.mu.Unlock()
	for _, k := range suspects {
		if _, err := f.list.Ping(k.id, k.gossip); err == nil {
			f.mu.Lock()
			delete(f.suspected, k.id)
			f.mu.Unlock()
		}
	}
}

// members is who lives now, by their ids.
func (f *Fleet) members() coordinator.Members {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ms coordinator.Members
	for id, k := range f.known {
		if suspected, ok := f.suspected[id]; ok {
			if suspected >= k.Incarnation {
				continue
			}
			delete(f.suspected, id) // it runs anew
		}
		delete(f.dead, id)
		if id != f.cfg.Replica && !f.shares(&k.meta) {
			ms.Apart = append(ms.Apart, coordinator.Apart{ID: id, Ledger: coordinator.Ledger{Identity: k.Ledger, Pool: k.Pool, Prefix: k.Prefix}})
			continue
		}
		m := coordinator.Member{ID: id, Incarnation: k.Incarnation, Version: k.Build, Address: k.Address, Leaving: k.Leaving}
		if id != f.cfg.Replica {
			m.Differs = coordinator.Differing(f.settings, k.Settings)
		}
		ms.Live = append(ms.Live, m)
	}
	for id, at := range f.dead {
		if time.Since(at) > f.cfg.Remember {
			delete(f.dead, id)
			continue
		}
		ms.Dead = append(ms.Dead, id)
	}
	for id, e := range f.ended {
		if time.Since(e.at) > rememberEnds {
			delete(f.ended, id)
			continue
		}
		ms.Ended = append(ms.Ended, coordinator.Run{ID: id, Incarnation: e.incarnation})
	}
	slices.SortFunc(ms.Ended, func(a, b coordinator.Run) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(ms.Live, func(a, b coordinator.Member) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(ms.Apart, func(a, b coordinator.Apart) int { return strings.Compare(a.ID, b.ID) })
	slices.Sort(ms.Dead)
	return ms
}

// firstRejoin is how soon the seeds are asked again by a replica that has met nobody: of a fleet that
// starts at once, the seeds may be there in a moment.
const firstRejoin = 250 * time.Millisecond

// rejoin asks the seeds from time to time, so that the two halves of a split
// find each other again.
func (f *Fleet) rejoin() {
	every := f.cfg.Rejoin
	if f.list.NumMembers() < 2 {
		every = min(every, firstRejoin)
	}
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-f.quit:
			return
		case <-timer.C:
			_, _ = f.join() // memberlist logs it
			f.changed()
		}
		if every = min(2*every, f.cfg.Rejoin); f.list.NumMembers() > 1 {
			every = f.cfg.Rejoin
		}
		timer.Reset(every)
	}
}
