package connector

import "time"

// Record is one consumed record on its way to a sink. The host makes it, transforms may
// replace its fields, and the sink reads it; its values are immutable.
type Record struct {
	Topic     string // as transforms left it
	Partition int32
	Key       Value
	Value     Value
	Headers   []Header
	Timestamp time.Time // zero when the record carries none

	// Origin is where the record was consumed; no transform changes it.
	Origin Origin
	// Batch is the frozen batch that the record is delivered in, the same for all records of
	// one Deliver call; names derive from it. It is nil until the host has frozen the batch.
	Batch *Batch
	// Prepared belongs to the sink: what its Cut left for its Deliver.
	Prepared any
}

// Origin holds the consumed coordinates and bytes of a record.
type Origin struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte // nil when the record has no key; must not be changed
	Value     []byte // nil for a tombstone; must not be changed
}

// Header is one header of a record, in the order of the wire; names may repeat.
type Header struct {
	Key   string
	Value Value
}

// Batch identifies the records of one delivery by their consumed coordinates. Once the host
// has frozen a batch it is tried again only as the same records, until its outcome is known.
type Batch struct {
	Topic     string
	Partition int32
	Offsets   []int64 // ascending; never empty
}
