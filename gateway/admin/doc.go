// Package admin answers operators at a replica's admin address: the API at /v1/, whose
// types are in package api, and the console at /.
//
// Answers are of the whole fleet. The replica that is asked puts the question to the
// others, over the streams that their tickets take, and each answers with its part of what
// there is to know: of the requests whose connections it holds, of the flows it queues.
//
//	HTTP ──> Server ──> gather ──┬──> answers: this replica's part
//	                             └──> coordinator.Questions ──> the others' parts
//	         merged: pool.go, flows.go, requests.go, replicas.go
//
// What another replica answers is input: it is bounded, and what cannot be read counts as
// no answer. A replica without an answer is named in every answer that it is missing from.
package admin
