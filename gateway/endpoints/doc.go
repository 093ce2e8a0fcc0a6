// Package endpoints has the model servers behind a pool: which there are, which can be
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
// Nothing here holds a request back: that is flow control's. What is here decides
// where one goes that may.
package endpoints
