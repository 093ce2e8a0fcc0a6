package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// id names an object.
type id struct{ namespace, name string }

func (i id) String() string { return i.namespace + "/" + i.name }

// table holds what matters of each object of one kind, as the API server last told it. A reflector
// writes it, from a goroutine of its own.
type table[T any] struct {
	kind    schema.GroupVersionResource
	read    func(*unstructured.Unstructured) (T, error)
	changed func()                       // after every change
	problem func(what string, err error) // gets what goes wrong with the watch

	mu     sync.Mutex
	listed bool  // a first list has come
	failed error // why none has, once that is known
	rows   map[id]row[T]
}

func newTable[T any](v *view, kind schema.GroupVersionResource, read func(*unstructured.Unstructured) (T, error)) *table[T] {
	return &table[T]{kind: kind, read: read, changed: v.change, problem: v.say}
}

// row is one object; it may be one that could not be read.
type row[T any] struct {
	value T
	err   error
}

// state says what is known of a kind.
type state int

const (
	notListed state = iota // the first list has not come yet
	notServed              // the API server does not serve the kind, or not to us
	listed
)

// state returns what is known of the kind, with the reason if it is not served.
func (t *table[T]) state() (state, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.listed:
		return listed, nil
	case apierrors.IsNotFound(t.failed) || apierrors.IsForbidden(t.failed):
		return notServed, t.failed
	}
	return notListed, nil
}

// in returns the objects of a namespace by name: those that are wanted, or all for nil, and those
// that could not be read.
func (t *table[T]) in(namespace string, wanted func(*T) bool) map[string]row[T] {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := make(map[string]row[T])
	for of, r := range t.rows {
		if of.namespace == namespace && (wanted == nil || r.err != nil || wanted(&r.value)) {
			found[of.name] = r
		}
	}
	return found
}

// one returns an object, if it is there.
func (t *table[T]) one(of id) (r row[T], there bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, there = t.rows[of]
	return r, there
}

// all returns the objects.
func (t *table[T]) all() map[id]row[T] {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.rows)
}

// Replace implements cache.ReflectorStore.
func (t *table[T]) Replace(objects []any, _ string) error {
	rows := make(map[id]row[T], len(objects))
	for _, o := range objects {
		u, err := object(o)
		if err != nil {
			return err
		}
		rows[idOf(u)] = t.row(u)
	}
	t.mu.Lock()
	t.rows, t.listed, t.failed = rows, true, nil
	t.mu.Unlock()
	t.changed()
	return nil
}

// Add implements cache.ReflectorStore.
func (t *table[T]) Add(o any) error { return t.Update(o) }

// Update implements cache.ReflectorStore.
func (t *table[T]) Update(o any) error {
	u, err := object(o)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.rows[idOf(u)] = t.row(u)
	t.mu.Unlock()
	t.changed()
	return nil
}

// Delete implements cache.ReflectorStore.
func (t *table[T]) Delete(o any) error {
	u, err := object(o)
	if err != nil {
		return err
	}
	t.mu.Lock()
	delete(t.rows, idOf(u))
	t.mu.Unlock()
	t.changed()
	return nil
}

// Resync implements cache.ReflectorStore. No resyncing is asked for.
func (t *table[T]) Resync() error { return nil }

func (t *table[T]) row(u *unstructured.Unstructured) row[T] {
	value, err := t.read(u)
	return row[T]{value, err}
}

func idOf(u *unstructured.Unstructured) id { return id{u.GetNamespace(), u.GetName()} }

func object(o any) (*unstructured.Unstructured, error) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("the dynamic client gave a %T", o)
	}
	return u, nil
}

// fail notes that a list or a watch failed. What is known stays.
func (t *table[T]) fail(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	first := !t.listed
	t.failed = err
	t.mu.Unlock()
	switch about := fmt.Errorf("%s: %w", t.kind.GroupResource(), err); {
	case first && apierrors.IsNotFound(err): // not installed, perhaps later; the source says if it needs it
	case first:
		t.problem("a kind cannot be listed yet", about)
	default:
		t.problem("a watch broke; what is known stays", about)
	}
	t.changed()
}

// firstRest is how long a watch rests when it fails for the first time.
const firstRest = 200 * time.Millisecond

// filter says which objects of a kind are asked for; the zero value is all of them.
type filter struct{ labels, name string }

func (f filter) apply(o *metav1.ListOptions) {
	o.LabelSelector = f.labels
	if f.name != "" {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, f.name).String()
	}
}

// follow keeps the table as the API server has the kind in a namespace, or in all of them if it
// is empty, until the context ends. A failed list or watch rests for at most that long.
func (t *table[T]) follow(ctx context.Context, client dynamic.Interface, namespace string, which filter, rest time.Duration) {
	from := client.Resource(t.kind).Namespace(namespace)
	lists := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			which.apply(&o)
			list, err := from.List(ctx, o)
			t.fail(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			which.apply(&o)
			w, err := from.Watch(ctx, o)
			if o.SendInitialEvents == nil || !apierrors.IsInvalid(err) { // else it cannot begin a watch with a list, and is asked for the list
				t.fail(ctx, err)
			}
			return w, err
		},
	}
	silent := logr.Discard() // what fails is told by fail
	cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lists, client), &unstructured.Unstructured{}, t, cache.ReflectorOptions{
		Logger: &silent, Name: t.kind.Resource, TypeDescription: t.kind.String(),
		Backoff: &wait.Backoff{Duration: min(firstRest, rest), Cap: rest, Factor: 2, Jitter: 0.1, Steps: 1 << 30},
	}).RunWithContext(klog.NewContext(ctx, silent))
}
