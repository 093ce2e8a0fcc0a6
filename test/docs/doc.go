// Package docs checks that the documentation speaks of things that exist: every
// link, file, test, make target, package member and flag that a page names.
//
//	page ──> text outside code blocks ──> links    resolve, headings included
//	                                  └─> `spans`  name what is in the tree
//
// A page that describes code which has moved fails here and not in a reader's hands.
package docs
