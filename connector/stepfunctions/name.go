package stepfunctions

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

// maxName is the most characters that an execution name can have; only 0-9 A-Z a-z - _ also
// work in CloudWatch Logs (StartExecution, Step Functions API reference).
const maxName = 80

// Name is the name of the execution of a frozen batch: equal names mean equal records, so that
// ExecutionAlreadyExists acknowledges (invariant 3). It reads
//
//	<topic>-p<partition>-o<first offset>-n<count>-e<replay epoch>-<owner>-<hash>
//
// where the topic is there for people, sanitised and shortened to what fits, owner is the
// ownerTag of the connector, and hash is the first 8 bytes in hex of the SHA-256 of the cluster's id, the topic's id, the connector's
// name, the topic, the partition, the epoch and all offsets, each length-prefixed or of fixed
// size. clusterID and topicID may be "" where the cluster has none.
func Name(clusterID, topicID, connectorName string, b *connector.Batch, epoch int) string {
	h := make([]byte, 0, 256+8*len(b.Offsets))
	for _, s := range [...]string{"offset", clusterID, topicID, connectorName, b.Topic} {
		h = appendPart(h, s)
	}
	h = binary.BigEndian.AppendUint64(h, uint64(b.Partition))
	h = binary.BigEndian.AppendUint64(h, uint64(epoch))
	h = binary.BigEndian.AppendUint64(h, uint64(len(b.Offsets)))
	for _, o := range b.Offsets {
		h = binary.BigEndian.AppendUint64(h, uint64(o))
	}
	sum := sha256.Sum256(h)

	tail := make([]byte, 0, maxName)
	tail = strconv.AppendInt(append(tail, "-p"...), int64(b.Partition), 10)
	tail = strconv.AppendInt(append(tail, "-o"...), b.Offsets[0], 10)
	tail = strconv.AppendInt(append(tail, "-n"...), int64(len(b.Offsets)), 10)
	tail = strconv.AppendInt(append(tail, "-e"...), int64(epoch), 10)
	tail = append(tail, '-')
	tail = append(tail, ownerTag(clusterID, connectorName)...)
	tail = append(tail, '-')
	tail = hex.AppendEncode(tail, sum[:8])
	return readable(b.Topic, tail)
}

// ownerTag is the part of a name by which a connector knows its own executions among those of others that start
// the same state machine: the first 4 bytes in hex of the SHA-256 of the cluster's id and the connector's name. A
// collision of two tags mixes what the two show; names are told apart by their hashes.
func ownerTag(clusterID, connectorName string) string {
	sum := sha256.Sum256(appendPart(appendPart(appendPart(nil, "owner"), clusterID), connectorName))
	return hex.EncodeToString(sum[:4])
}

// changeName is the name of the execution of one change, made of the change's identity rather
// than of where Kafka holds it: a change that Debezium sent twice gets the same name. It reads
//
//	<table>-<operation>-<commit_lsn>-<owner>-<hash>
//
// where hash is the first 12 bytes in hex of the SHA-256 of the connector's name, the replay
// epoch, the server, database, schema, table, all parts of the position, the operation, the
// key and both rows as received. It never equals a Name, whose last 16 digits follow a dash.
// A row of a snapshot has no identity of its own: ok is false.
func changeName(clusterID, connectorName string, c *debezium.Change, epoch int) (name string, ok bool, err error) {
	if c.Operation == debezium.Snapshot || c.Snapshot || !c.Position.HasCommitLSN {
		return "", false, nil
	}
	p := &c.Position
	h := make([]byte, 0, 1024)
	for _, s := range [...]string{"change", connectorName, c.Server, c.Database, c.Schema, c.Table, p.CommitLSN, p.ChangeLSN} {
		h = appendPart(h, s)
	}
	h = append(h, bit(p.HasChangeLSN)|bit(p.HasEventSerialNo)<<1, byte(c.Operation))
	h = binary.BigEndian.AppendUint64(h, uint64(p.EventSerialNo))
	h = binary.BigEndian.AppendUint64(h, uint64(epoch))
	for _, v := range [...]connector.Value{c.Key, c.Before, c.After} {
		if h, err = appendImage(h, v); err != nil {
			return "", false, err
		}
	}
	sum := sha256.Sum256(h)

	tail := make([]byte, 0, maxName)
	tail = append(append(tail, '-'), c.Operation.String()...)
	tail = append(append(tail, '-'), sanitise(p.CommitLSN, 24)...)
	tail = append(tail, '-')
	tail = append(tail, ownerTag(clusterID, connectorName)...)
	tail = append(tail, '-')
	tail = hex.AppendEncode(tail, sum[:12])
	return readable(c.Table, tail), true, nil
}

// appendImage appends a value as received; one without wire bytes as its JSON text.
func appendImage(dst []byte, v connector.Value) ([]byte, error) {
	if v.IsNull() {
		return append(dst, 0), nil
	}
	if raw, _, ok := v.Wire(); ok {
		return appendPart(append(dst, 1), string(raw)), nil
	}
	text, err := v.AppendJSON(nil, nil)
	if err != nil {
		return dst, err
	}
	return appendPart(append(dst, 2), string(text)), nil
}

// appendPart appends s with its length, so that no two lists of parts look alike.
func appendPart(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(s)))
	return append(dst, s...)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// readable puts as much of label before tail as the longest name allows. Numbers so large that no label fits at
// all lose their first digits: the hash at the end holds them.
func readable(label string, tail []byte) string {
	tail = tail[max(0, len(tail)-maxName):]
	return sanitise(label, maxName-len(tail)) + string(tail)
}

// sanitise replaces what a name cannot hold by an underscore and cuts to at most n characters.
func sanitise(s string, n int) string {
	out := make([]byte, 0, min(len(s), max(n, 0)))
	for i := 0; i < len(s) && len(out) < n; i++ {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_':
			out = append(out, c)
		default:
			out = append(out, '_')
		}
	}
	return string(out)
}
