package core

import "time"

// Reconfigure changes the bands, the weights, the caps, the usage limit and the
// budgets of waiting. What else differs in the configuration is ignored. No
// request that waits loses its place for it.
func (c *Core) Reconfigure(now time.Time, cfg Config) {
	c.cfg.Shard, c.cfg.UsageLimit = cfg.Shard, cfg.UsageLimit
	c.cfg.Eviction, c.cfg.CountTokens = cfg.Eviction, cfg.CountTokens
	c.cfg.TTL, c.cfg.NoEndpointTTL = cfg.TTL, cfg.NoEndpointTTL
	c.queues = c.queues.Rebuilt(cfg.Shard, now)
	for _, b := range c.bands {
		as := newBand(b.priority, cfg.Shard.Band(b.priority).Fairness)
		if as.policy != b.policy {
			b.v = 0
		}
		b.policy, b.counts, b.account = as.policy, as.counts, as.account
	}
	c.relimit(now)
	for _, r := range c.byTicket(c.waiting) {
		c.setDeadline(r)
	}
	c.expire(now)
	c.turn.resync.raise()
	c.turn.due = true
}
