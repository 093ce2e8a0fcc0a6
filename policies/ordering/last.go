package ordering

// last is added to the scores of requests that go after all that have what the
// policy orders by: more microseconds than to any deadline, and few enough that a
// float still tells one from the next.
const last = 2e15
