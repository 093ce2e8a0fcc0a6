package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/store"
)

// resubscribe is how long to wait before another subscription, when one ended.
const resubscribe = 100 * time.Millisecond

// Wakeups implements [store.Ledger].
func (l *Ledger) Wakeups(ctx context.Context, replica string) <-chan store.Wakeup {
	channel := l.channel(replica)
	sub := l.subscribe(ctx, channel)
	// Wait for the subscription, so that no wake-up is missed from here on. If
	// the server does not answer, the client subscribes when it is back.
	_, _ = receive(ctx, sub, l.cfg.Timeout)
	wakeups := make(chan store.Wakeup, store.PendingWakeups)
	go func() { // ends with ctx
		defer close(wakeups)
		for {
			l.listen(ctx, sub, wakeups)
			select {
			case <-ctx.Done():
				return
			case <-time.After(resubscribe):
			}
			sub = l.subscribe(ctx, channel)
		}
	}()
	return wakeups
}

// channel is where a replica is woken.
func (l *Ledger) channel(replica string) string {
	return l.root + ":" + ledgerFormat + ":wake:" + escape(replica)
}

// checkWakeups checks that replicas can be woken, by waking one that there is not. Redis gives new
// users no channels, and without them a slot stays free until somebody asks by himself.
func (l *Ledger) checkWakeups(ctx context.Context) error {
	nobody := l.channel("")
	if err := l.client.Do(ctx, l.publish, nobody, "").Err(); err != nil {
		return err
	}
	sub := l.subscribe(ctx, nobody)
	defer sub.Close() //nolint:errcheck // it was a question
	_, err := receive(ctx, sub, l.cfg.Timeout)
	return err
}

func (l *Ledger) subscribe(ctx context.Context, channel string) *goredis.PubSub {
	if l.cluster != nil {
		return l.client.SSubscribe(ctx, channel)
	}
	return l.client.Subscribe(ctx, channel)
}

// listen passes wake-ups on until ctx ends, or the subscription is of no more use: the server ended
// it, as one of a cluster does that gives up the pool's slot; or what comes is none, or nothing
// does, for a lease and after a question.
func (l *Ledger) listen(ctx context.Context, sub *goredis.PubSub, wakeups chan<- store.Wakeup) {
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // which ends receiving
	defer func() {
		stop()
		_ = sub.Close()
	}()
	for asked := false; ; {
		m, err := receive(ctx, sub, l.cfg.Lease)
		var late net.Error
		switch {
		case err == nil:
			asked = false
		case !asked && errors.As(err, &late) && late.Timeout() && sub.Ping(ctx) == nil:
			asked = true
		default:
			return
		}
		switch m := m.(type) {
		case *goredis.Subscription:
			if strings.HasSuffix(m.Kind, "unsubscribe") {
				return
			}
		case *goredis.Message:
			select {
			case wakeups <- decodeWakeup(m.Payload):
			default: // it has enough to be woken by
			}
		}
	}
}

// receive returns what comes next by a subscription. The client takes what a server says there
// to be of a certain form, and panics where it is not.
func receive(ctx context.Context, sub *goredis.PubSub, timeout time.Duration) (m any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: by a subscription: %v", store.ErrUnavailable, p)
		}
	}()
	return sub.ReceiveTimeout(ctx, timeout)
}
