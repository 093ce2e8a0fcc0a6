package shares

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// TestFaults breaks things under a class that is guaranteed 30%, a priority or a group, of which most
// clients come in by the last replica and some by the first: what it has before and after, and for
// how long its guarantee did not hold.
func TestFaults(t *testing.T) {
	for _, class := range []struct {
		name, tenant string
		guaranteeing func(part string) string
	}{
		{"priority", "batch", guaranteeing},
		{"group", "acme/batch", func(part string) string {
			return `
  flows: [{id: acme/batch, priority: -10}, {id: flood, priority: 10}]
  groups: [{name: acme, guaranteed: ` + part + `}]
`
		}},
	} {
		t.Run(class.name, func(t *testing.T) {
			onFleets(t, class.guaranteeing("30%"), func(f *fleet) {
				f.everywhere("flood", 42)
				f.clients(class.tenant, 6, f.at(0))
				f.clients(class.tenant, 14, f.at(2))
				f.next(100)
				r := &broken{fleet: f, class: class.name, tenant: class.tenant, part: 0.3}
				r.breaks("halved", "a reload halves it", 0, func() {
					f.reload(class.guaranteeing("15%"))
					r.part = 0.15
				})
				f.reload(class.guaranteeing("30%"))
				r.part = 0.3
				f.next(100)
				r.breaks("wiped", "Redis wiped", 0, func() {
					f.redis.Kill()
					f.redis.Run()
				})
				last := len(f.replicas) - 1
				r.breaks("cut off", "the replica most of it comes in by cut off from Redis", store.DefaultLease, f.ways[last].Cut)
				r.breaks("healed", "the cut healed", 0, f.ways[last].Heal)
				if len(f.replicas) > 1 {
					r.breaks("killed", "a replica killed that some of it came in by", store.DefaultLease, func() {
						f.replicas[0].Kill()
						f.replicas = f.replicas[1:]
					})
				}
				f.plot("faults-"+class.name, fmt.Sprintf("30%% guaranteed to a %s, while things break", class.name), []string{"flood", class.tenant}, 0.3*slots, r.marks...)
			})
		})
	}
}

// broken is a fleet in which things break.
type broken struct {
	*fleet
	class, tenant string
	part          float64 // that is guaranteed now
	marks         []Mark
}

// breaks has something break, and tells what the class had before and after, and when it had less
// than the least of what is guaranteed before and after. Of the slots in use it must have it
// throughout, but for what a lost replica held, which counts as had for so long: until then, and
// until the next request ends, it may have less.
func (b *broken) breaks(mark, what string, counts time.Duration, do func()) {
	b.Helper()
	watched := 5 * time.Second
	if reporting {
		watched = 15 * time.Second
	}
	before := b.next(100)
	part, used := b.part, b.curve().Mean(before)
	had := b.part100(before)
	from := b.now()
	b.marks = append(b.marks, Mark{from, mark})
	do()
	part = min(part, b.part)
	time.Sleep(watched)
	s := Span{from, b.now()}
	after := b.next(120)
	// What was in use before is what there is to have; what is in use now is less while nobody may
	// give out what a replica held that is lost.
	last := b.longest(s, b.tenant).Seconds()
	bound := b.bound(s, part*slots, b.tenant)
	lack, over := b.curve(b.tenant).Lack(s, part*used/slots, Steady(slots), last)
	held := "held"
	if lack > bound {
		held = fmt.Sprintf("not for %.1f s", over.Seconds())
	}
	b.Logf("from %v to %v it fell %.2f slot-seconds behind, the bound is %.2f", over.From, over.To, lack, bound)
	if lack, over = b.curve(b.tenant).Lack(s, part, b.curve(), last); lack > bound {
		held += fmt.Sprintf("; of the %.1f slots in use not for %.1f s", b.curve().Mean(s), over.Seconds())
		if most := counts + b.longest(s).Round(time.Millisecond); counts == 0 || over.To-from > most {
			b.Errorf("%s: of the slots in use it had %.2f slot-seconds less than is guaranteed, from %v to %v; the bound is %.2f, and %v after the fault", what, lack, over.From, over.To, bound, most)
		}
	} else if held != "held" {
		held += fmt.Sprintf("; of the %.1f slots in use it held", b.curve().Mean(s))
	}
	b.tell(fmt.Sprintf("a %s guaranteed 30%%, %s", b.class, what), "%.1f%%, then %.1f%%; %s", had, b.part100(after), held)
	if got := b.part100(after); got < 100*b.part-3 {
		b.Errorf("%s: afterwards it had %.1f%%, %.0f%% are guaranteed", what, got, 100*b.part)
	}
}

func (b *broken) part100(s Span) float64 { return 100 * b.fleet.part(s, b.tenant) }
