// Package config reads the file that configures a replica: the
// EndpointPickerConfig that users of today's Endpoint Pickers have, and a section
// weir for what is new.
//
//	bytes ── decode ──> File ── build ──> Plan
//	           │                  │
//	           └──── Problems ────┘
//
// Reading is strict, and finds everything that is wrong at once: each problem says
// where it is and what would be right. What has no effect is named in a warning, never
// passed over in silence.
package config
