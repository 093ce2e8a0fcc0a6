package wire

// Meaning must be changed with the sense of what is kept, where its form stays.
const Meaning = 1

// Keys are the ledger's.
var Keys = []Key{
	{"leases", "zset", "", "replicas by when their leases end"},
	{"replicas", "hash", "", "id -> record of every replica with a lease"},
	{"lost", "hash", "", "id -> record of every replica without one that may come back, and whose requests may be in flight still"},
	{"books", "hash", "", "book -> record"},
	{"bands", "hash", "", "priority -> record"},
	{"offers", "hash", "", "ticket -> record; granted ones until their owner has read so"},
	{"own", "set", "replica", "the tickets that stand in its name"},
	{"messages", "list", "replica", "records of messages that it has not read"},
	{"wait", "zset", "book", "the first offer of every waiting flow by its rank, or every offer where service is not counted; its groups that wait"},
	{"flow", "zset", "book and flow", "its offers in their order"},
	{"count", "hash", "book", "flow -> counter; of a group, its record in the sentinel's place"},
	{"idle", "zset", "book", "flows without offers by when they became idle"},
	{"limits", "hash", "", "flow or group -> record of one with limits of its own"},
	{"held", "hash", "", "flow or group -> its requests in flight in the fleet, and"},
	{"limited", "hash", "replica", "flow or group -> those of the replica; unread grants count"},
	{"load", "zset", "", "endpoints by their requests in flight in the fleet, with when one was last suggested as the fraction"},
	{"loads", "hash", "replica", "endpoint -> its requests in flight; unread grants count where they were suggested to go"},
	{"tokens", "hash", "", "endpoint -> what its requests are expected to cost; where replicas say so"},
	{"tokens", "hash", "replica", "endpoint -> the same of its own"},
	{"places", "hash", "", "endpoint -> how many requests it takes, and the permits that replicas have there"},
	{"places", "hash", "replica", "endpoint -> what it states of these"},
}

// State is what the ledger keeps of the whole fleet, in the hash at the base.
var State = Record{Name: "state", Kept: true, Doc: "The fleet's state: its generation and its totals.", Fields: []Field{
	{Name: "generation", Kind: Count},
	{Name: "recovering", Kind: Flag},
	{Name: "recovered", Kind: Count},
	{Name: "expected", Kind: Count},
	{Name: "counted", Kind: Count},
	{Name: "audited", Kind: Count},
	{Name: "scanned", Kind: Text},
	{Name: "held", Kind: Count},
	{Name: "queued", Kind: Count},
	{Name: "bytes", Kind: Count},
	{Name: "members", Kind: Count},
	{Name: "lost", Kind: Count},
	{Name: "float", Kind: Count},
	{Name: "askers", Kind: Count},   // replicas that have use for float
	{Name: "lent", Kind: Count},     // replicas that may have some
	{Name: "recalled", Kind: Count}, // when it was, and had not been given since
	{Name: "in_line", Kind: Count},  // tickets
	{Name: "line_wanted", Kind: Count},
	{Name: "lined", Kind: Int}, // their priority
	{Name: "line_recalled", Kind: Count},
	{Name: "totals", Kind: Items, Of: &Total},
	{Name: "passed", Kind: Count},
	{Name: "shares", Kind: Items, Of: &Share},
	{Name: "bounded", Kind: Flag},   // replicas state capacities of endpoints
	{Name: "capacity", Kind: Count}, // the sum of these
	{Name: "short", Kind: Items, Of: &Short},
	{Name: "closed", Kind: Items, Each: Name},      // endpoints that some replica sends no more requests to
	{Name: "shut_groups", Kind: Items, Each: Name}, // those that are at their maximum
}}

// Total is what a replica states of a band, and the fleet's total of it.
var Total = Record{Name: "total", Kept: true, Go: "store.Band", Doc: "A band's totals, of a replica or of the fleet.", Inner: true, Fields: []Field{
	{Name: "priority", Kind: Int, Go: "Priority"},
	{Name: "book", Kind: Text, Go: "bookName($)"},
	{Name: "limit", Kind: Int, Go: "Limit"},
	{Name: "guaranteed", Kind: Float, Go: "Guaranteed"},
	{Name: "weight", Kind: Float, Go: "Weight"},
	{Name: "in_flight", Kind: Count, Go: "InFlight"},
	{Name: "queued", Kind: Count, Go: "Queued"},
	{Name: "bytes", Kind: Count, Go: "QueuedBytes"},
	{Name: "largest", Kind: Float, Go: "Largest"},
	{Name: "wanted", Kind: Count, Go: "Wanted"},
}}

// Share is the account of what a band or a group is guaranteed, and of a band by its weight.
var Share = Record{Name: "share", Doc: "The account of what a band or a group is guaranteed, and of a band by its weight.", Inner: true, Fields: []Field{
	{Name: "class", Kind: Name}, // a priority, or a group's mark and path
	{Name: "slots", Kind: Float},
	{Name: "owed", Kind: Float},
	{Name: "spare", Kind: Flag},
	{Name: "ahead", Kind: Float}, // of those that it shares with by weight
	{Name: "short", Kind: Flag},  // it reached no endpoint with room when a slot last went to one of them
	{Name: "got", Kind: Float},
	{Name: "below", Kind: Float},
}}

// Place is what an endpoint takes.
var Place = Record{Name: "place", Doc: "What an endpoint takes, and the permits there, of a replica or of the fleet.", Fields: []Field{
	{Name: "capacity", Kind: Int},
	{Name: "permits", Kind: Count},
}}

// Short is an ingress that reached no endpoint with room, and when it last did.
var Short = Record{Name: "short", Doc: "An ingress that reached no endpoint with room, and when that was.", Inner: true, Fields: []Field{
	{Name: "ingress", Kind: Name},
	{Name: "at", Kind: Count},
}}

// Granted is how many requests of a band were granted to a replica in messages that it has
// not read.
var Granted = Record{Name: "granted", Doc: "Requests of a band in messages that a replica has not read.", Inner: true, Fields: []Field{
	{Name: "priority", Kind: Int},
	{Name: "requests", Kind: Count},
}}

// Sheddable is a request in flight that may be revoked.
var Sheddable = Record{Name: "sheddable", Go: "store.Sheddable", Doc: "A request in flight that may be revoked.", Inner: true, Fields: []Field{
	{Name: "priority", Kind: Int, Go: "Priority"},
	{Name: "score", Kind: Score, Go: "Score"},
	{Name: "seq", Kind: Hex, Go: "Seq"},
	{Name: "group", Kind: Name, Go: "Group"},
}}

// Offer is a ticket before the ledger.
var Offer = Record{Name: "offer", Kept: true, Doc: "A ticket before the ledger.", Fields: []Field{
	{Name: "book", Kind: Text},
	{Name: "flow", Kind: Name},
	{Name: "rank", Kind: FloatText},
	{Name: "charge", Kind: FloatText},
	{Name: "weight", Kind: Float},
	{Name: "score", Kind: Score},
	{Name: "owner", Kind: Name},
	{Name: "tokens", Kind: FloatText},
	{Name: "granted", Kind: Flag},
}}

// Replica is a replica with a lease.
var Replica = Record{Name: "replica", Kept: true, Doc: "A replica with a lease.", Fields: []Field{
	{Name: "id", Kind: Name},
	{Name: "incarnation", Kind: Padded},
	{Name: "registered", Kind: Count},
	{Name: "last", Kind: Count},
	{Name: "batch", Kind: Count},
	{Name: "sent", Kind: Count},
	{Name: "read", Kind: Count},
	{Name: "unread", Kind: Count},
	{Name: "granted", Kind: Items, Of: &Granted},
	{Name: "float", Kind: Count},
	{Name: "want_float", Kind: Count},
	{Name: "lent", Kind: Flag},
	{Name: "usual", Kind: Count}, // slots of late, several times the average; see store/memory/line.go
	{Name: "line", Kind: Count},
	{Name: "want_line", Kind: Count},
	{Name: "dead", Kind: Items, Each: Name},
	{Name: "bands", Kind: Items, Of: &Total},
	{Name: "revoking", Kind: Count},
	{Name: "sheddable", Kind: Items, Of: &Sheddable},
	{Name: "longest", Kind: Count},
	{Name: "pace", Kind: Count},     // how long its turns take
	{Name: "capacity", Kind: Count}, // of which its limits are parts
}}

// Lost is a replica whose lease ended without evidence that its requests did.
var Lost = Record{Name: "lost", Doc: "A lost replica, and until when what it held counts.", Fields: []Field{
	{Name: "incarnation", Kind: Padded},
	{Name: "held", Kind: Count},
	{Name: "ends", Kind: Count},
	{Name: "batch", Kind: Count}, // of settlements, the last one applied
}}

// Book is a band's account under one policy.
var Book = Record{Name: "book", Kept: true, Doc: "A band's account under one policy.", Fields: []Field{
	{Name: "v", Kind: Scaled},
	{Name: "level", Kind: Scaled}, // where flows begin that it does not know
	{Name: "weight", Kind: Float}, // of the flows that wait, together
	{Name: "counts", Kind: Flag},
	{Name: "lifts", Kind: Flag},
	{Name: "priority", Kind: Int},
	{Name: "policy", Kind: Name},
	{Name: "half_life", Kind: Count},
	{Name: "origin", Kind: Count},
}}

// Group is what is kept of a group of flows, in the place of the sentinel among the counters of
// its flows. Its own counter is there, too, so that one reading and one writing is of all of it.
var Group = Record{Name: "group", Kept: true, Doc: "A group of flows in a book.", Fields: []Field{
	{Name: "v", Kind: Scaled},
	{Name: "level", Kind: Scaled},
	{Name: "weight", Kind: Float}, // of what waits in it, together
	{Name: "share", Kind: Float},  // its own
	{Name: "kept", Kind: Count},   // when its keys' TTLs were last renewed
	{Name: "known", Kind: Flag},   // whether it has a counter
	{Name: "counter", Kind: Scaled},
}}

// Band is a priority's books, and which of them is next.
var Band = Record{Name: "band", Kept: true, Doc: "A priority's books, and which of them is next.", Fields: []Field{
	{Name: "next_book", Kind: Count},
	{Name: "offered", Kind: Count}, // when something last was
	{Name: "books", Kind: Items, Each: Text},
}}

// Limit is the account of a flow with limits of its own, or of a group with a maximum.
var Limit = Record{Name: "limit", Doc: "The account of a flow with limits of its own, or of a group with a maximum.", Fields: []Field{
	{Name: "max", Kind: Count},
	{Name: "per_minute", Kind: Float},
	{Name: "level", Kind: Float},
	{Name: "at", Kind: Count},
	{Name: "seen", Kind: Count},
}}

// Message is what the ledger leaves for a replica.
var Message = Record{Name: "message", Kept: true, Go: "store.Message", Doc: "A message to a replica.", Head: 3, Fields: []Field{
	{Name: "number", Kind: Count, Go: "Number"},
	{Name: "kind", Kind: Count, Go: "Kind"},
	{Name: "ticket", Kind: Ticket, Go: "Ticket"},
	{Name: "priority", Kind: Int, Go: "Priority"},
	{Name: "policy", Kind: Name, Go: "Policy"},
	{Name: "group", Kind: Name, Go: "Group"},
	{Name: "flow", Kind: Name, Go: "Flow"},
	{Name: "charge", Kind: FloatText, Go: "Charge"},
	{Name: "service", Kind: Float, Go: "Service"},
	{Name: "counter", Kind: Float, Go: "Counter"},
	{Name: "endpoint", Kind: Name, Go: "Endpoint"},
	{Name: "load", Kind: Count, Go: "EndpointInFlight"},
}}

// Wakeup is what is published to a replica, before the messages.
var Wakeup = Record{Name: "wakeup", Go: "store.Wakeup", Doc: "What wakes a replica, before its messages.", Fields: []Field{
	{Name: "incarnation", Kind: Padded, Go: "Incarnation"},
	{Name: "registered", Kind: Count, Go: "Registered"},
	{Name: "recall", Kind: Flag, Go: "Recall"},
}}

// Kept are the records that a ledger is kept in, by the key or field they are in.
var Kept = []*Record{&State, &Offer, &Replica, &Lost, &Total, &Share, &Place, &Short, &Granted, &Sheddable, &Book, &Group, &Band, &Limit, &Message, &Wakeup}
