// Package gossip is a replica's membership: who lives, on
// hashicorp/memberlist (SWIM with Lifeguard). It also connects the ticket
// streams to those who live, and so is the fleet as the controller sees it.
//
//	memberlist ── joins, deaths ──> Fleet ── MembersChanged ──> controller
//	                                  └──── whom to dial ─────> stream.Streams
//
// Nothing that must arrive travels by gossip: a member's metadata only says how
// to reach it and whether it can be worked with.
package gossip
