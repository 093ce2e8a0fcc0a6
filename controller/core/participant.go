package core

import (
	"time"

	"github.com/weirflow/weir/store"
)

// participant has a part in every turn: it adds to the statement, learns from the reply,
// and knows what to do in an outage. Each method is called for all participants in the
// order of the exchange's list.
type participant interface {
	// state adds to the statement of the turn that begins now. Whether it registers is
	// decided; its lists are empty.
	state(now time.Time, s *store.Statement)
	// learn handles the reply to a statement that was applied.
	learn(now time.Time, s *store.Statement, r *store.Reply)
	// unanswered notes that the statement of the turn under way may or may not have been
	// applied, or that its reply is out of date.
	unanswered()
	// lost notes that an outage begins: from now on this replica dispatches by itself.
	lost(now time.Time)
	// regained notes that the outage is over. The reply that ends it is learnt next.
	regained(now time.Time)
}

// bystander is embedded by participants for the methods that they do not need.
type bystander struct{}

func (bystander) state(time.Time, *store.Statement)               {}
func (bystander) learn(time.Time, *store.Statement, *store.Reply) {}
func (bystander) unanswered()                                     {}
func (bystander) lost(time.Time)                                  {}
func (bystander) regained(time.Time)                              {}
