package gateway

// Pools are the pools of a gateway. They do not change; see [Gateway.SetPools].
type Pools struct {
	only *Pool // every request is for it; nil where a request says which one it is for
}

// Only has every request go to one pool.
func Only(p *Pool) *Pools { return &Pools{only: p} }
