package endpoints

import (
	"encoding/binary"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
)

// prefixes remembers which prompts went to which endpoint, and so what its prefix
// cache is likely to hold. A prompt is cut into blocks; the hash of a block covers all
// before it, so that one hash stands for a whole prefix. An endpoint forgets the
// blocks that were used longest ago, as its cache does.
type prefixes struct {
	cfg policies.PrefixIndexing

	mu        sync.Mutex
	endpoints map[string]*cache
	blocks    map[uint64][]*block // the same prefix at different endpoints
}

// cache is one endpoint's.
type cache struct {
	address string
	size    int
	used    list.List[*block] // longest ago first
}

type block struct {
	hash  uint64
	cache *cache
	node  list.Node[*block]
}

func newPrefixes(cfg policies.PrefixIndexing) *prefixes {
	return &prefixes{cfg: cfg, endpoints: make(map[string]*cache), blocks: make(map[uint64][]*block)}
}

// hash returns the hashes of a prompt's prefixes, the shortest first. They are the
// same at every replica.
func (x *prefixes) hash(model string, prompt []byte) []uint64 {
	n := min(len(prompt)/x.cfg.BlockSize, x.cfg.MaxBlocks)
	hashes := make([]uint64, n)
	last := xxhash.Sum64String(model)
	var d xxhash.Digest
	var before [8]byte
	for i := range hashes {
		d.Reset()
		binary.LittleEndian.PutUint64(before[:], last)
		_, _ = d.Write(before[:]) // never fails for a hash
		_, _ = d.Write(prompt[i*x.cfg.BlockSize : (i+1)*x.cfg.BlockSize])
		last = d.Sum64()
		hashes[i] = last
	}
	return hashes
}

// match returns which share of a prompt's prefixes each endpoint has.
func (x *prefixes) match(hashes []uint64) map[string]float64 {
	if len(hashes) == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	shares := make(map[string]float64)
	for i, hash := range hashes {
		found := false
		for _, b := range x.blocks[hash] {
			if matched := shares[b.cache.address]; int(matched) == i { // and all before
				shares[b.cache.address] = float64(i + 1)
				found = true
			}
		}
		if !found {
			break
		}
	}
	for address := range shares {
		shares[address] /= float64(len(hashes))
	}
	return shares
}

// add notes that a prompt went to an endpoint, and returns the prefixes that are new
// there.
func (x *prefixes) add(address string, hashes []uint64) (fresh []uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.endpoints[address]
	if c == nil {
		c = &cache{address: address}
		x.endpoints[address] = c
	}
	for i := len(hashes) - 1; i >= 0; i-- { // the longest first, so that it is forgotten first
		b := x.find(c, hashes[i])
		if b == nil {
			b = &block{hash: hashes[i], cache: c}
			b.node.Value = b
			x.blocks[b.hash] = append(x.blocks[b.hash], b)
			c.size++
			fresh = append(fresh, b.hash)
		} else {
			b.node.Remove()
		}
		c.used.PushBack(&b.node)
	}
	for c.size > x.cfg.PerEndpoint {
		oldest, _ := c.used.Front()
		x.remove(oldest)
	}
	return fresh
}

func (x *prefixes) find(c *cache, hash uint64) *block {
	for _, b := range x.blocks[hash] {
		if b.cache == c {
			return b
		}
	}
	return nil
}

func (x *prefixes) remove(b *block) {
	b.node.Remove()
	b.cache.size--
	same := x.blocks[b.hash]
	for i := range same {
		if same[i] == b {
			same[i] = same[len(same)-1]
			same[len(same)-1] = nil
			same = same[:len(same)-1]
			break
		}
	}
	if x.blocks[b.hash] = same; len(same) == 0 {
		delete(x.blocks, b.hash)
	}
}

// forget removes an endpoint's prefixes.
func (x *prefixes) forget(address string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c := x.endpoints[address]; c != nil {
		for c.size > 0 {
			oldest, _ := c.used.Front()
			x.remove(oldest)
		}
		delete(x.endpoints, address)
	}
}
