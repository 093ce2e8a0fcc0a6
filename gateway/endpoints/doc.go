// Package endpoints keeps the model servers of a pool: which there are, which can be
// used, how loaded they are, and which one a request goes to.
//
//	Source ──specs──> Pool ──usable endpoints──> flow controller (the limit)
//	                   │ ▲
//	                   │ ├── scraper: metrics of some endpoints, the others'
//	                   │ │            from the replicas that read them
//	                   │ └── ledger: requests in flight over the fleet
//	                   ▼
//	                 Take: profile of scorers, picker ──> Slot
//
// Flow control decides when a request goes; this package decides where.
package endpoints
