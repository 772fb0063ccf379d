// Package debezium reads Debezium's change events: a record whose value is an envelope becomes
// a Change that names the operation, the table, the rows and the position, without decoding the
// rows. It knows the events of the SQL Server and PostgreSQL connectors; it is pure.
package debezium

import (
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// Operation is what happened to a row.
type Operation uint8

// The operations. Tombstone is no change: it is the null value that follows a delete so that
// log compaction can drop the key.
const (
	Tombstone Operation = iota + 1
	Insert
	Update
	Delete
	Snapshot // a row as a snapshot read it
)

// NumOperations is one more than the largest Operation, for tables indexed by it.
const NumOperations = int(Snapshot) + 1

var operationNames = [NumOperations]string{"invalid", "tombstone", "insert", "update", "delete", "snapshot"}

// String gives the operation's name as configurations and execution inputs write it.
func (o Operation) String() string {
	if int(o) < NumOperations {
		return operationNames[o]
	}
	return operationNames[0]
}

// ParseOperation gives the operation of a row that name stands for ("insert", "update",
// "delete" or "snapshot"); ok is false for any other name.
func ParseOperation(name string) (o Operation, ok bool) {
	for o := Insert; int(o) < NumOperations; o++ {
		if operationNames[o] == name {
			return o, true
		}
	}
	return 0, false
}

// Position is where the source's log holds the change. The parts are comparable as text, byte
// by byte. Which of two changes of one row is newer is decided by CommitLSN and then by the
// Kafka offset: inside a transaction the other two parts are not monotonic.
type Position struct {
	// CommitLSN is SQL Server's commit_lsn ("0000002a:00000f58:0003") or PostgreSQL's lsn as 16
	// hex digits. Only rows of a snapshot can lack it.
	CommitLSN string
	// ChangeLSN is SQL Server's change_lsn; rows of a snapshot and PostgreSQL have none.
	ChangeLSN string
	// EventSerialNo is SQL Server's event_serial_no.
	EventSerialNo int64

	HasCommitLSN, HasChangeLSN, HasEventSerialNo bool
}

// Change is one change event. Its values are lazy: nothing of a row has been decoded. Its
// strings share one allocation, or those of other events of its schema, so keeping one may keep several.
type Change struct {
	Operation Operation
	// Snapshot says that a snapshot, initial or incremental, read the row.
	Snapshot bool
	// KeyChange is set on the two events that an update of a primary key becomes.
	KeyChange KeyChange

	Connector string // the source's kind: "sqlserver" or "postgresql"
	Server    string // source.name, which is Debezium's topic.prefix
	Database  string
	Schema    string
	Table     string

	Key      connector.Value // the record's key; null when the table has none
	Before   connector.Value // the row before the change; null on inserts
	After    connector.Value // the row after the change; null on deletes
	Envelope connector.Value // the whole event

	Position Position
	// CommittedAt is source.ts_ms in UTC: the commit in the database, for a row of a snapshot the
	// moment of reading. It has milliseconds.
	CommittedAt time.Time
}

// AppendCommittedAt appends CommittedAt to dst as ISO-8601 text in UTC with three digits of
// the second: 2026-11-24T03:45:12.123Z.
func (c *Change) AppendCommittedAt(dst []byte) []byte {
	return append(jsontext.AppendTemporal(dst, jsontext.TimestampMillis, c.CommittedAt.UnixMilli()), 'Z')
}

// KeyChange ties together the delete of the old key and the insert of the new key that an
// update of a primary key becomes; both stand at one position of the log.
type KeyChange uint8

// What an event has to do with an update of a primary key.
const (
	NoKeyChange  KeyChange = iota
	KeyMovedAway           // the delete of the old key; header __debezium.newkey
	KeyMovedHere           // the insert of the new key; header __debezium.oldkey
)

const (
	headerNewKey = "__debezium.newkey"
	headerOldKey = "__debezium.oldkey"
)

func keyChangeOf(header string) KeyChange {
	switch header {
	case headerNewKey:
		return KeyMovedAway
	case headerOldKey:
		return KeyMovedHere
	}
	return NoKeyChange
}
