package avro

import (
	"slices"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// op is what a node does with the bytes at hand.
type op uint8

const (
	opNull op = iota
	opBoolean
	opInt      // int: Int8, Int16 or Int32, within least and most
	opLong     // long: Int64
	opTemporal // int or long that counts time
	opFloat
	opDouble
	opString
	opBytes
	opDecimal // bytes
	opFixed
	opFixedDecimal
	opEnum
	opArray
	opMap     // string keys
	opEntries // array of records of a key and a value, which is how AvroData writes other maps
	opRecord
	opUnion // several branches that are not null
)

// node reads one schema at one place. It is immutable after Compile.
type node struct {
	op op
	// null is the index of the null branch of a union of null and one other type, which makes
	// this node optional; -1 for a node that is no such union; noNull for a union of one type.
	null     int8
	temporal jsontext.Temporal
	least    int64
	most     int64
	size     int // of a fixed
	scale    int // of a decimal

	schema  *connector.Schema
	bare    *node // this node without its null branch; itself when null is -1
	key     *node // of entries
	elem    *node // of array, map, entries
	rec     *record
	symbols []symbol // of an enum
	union   []branch
	object  bool // a map is a JSON object
}

// record is the body of a record type, shared by all nodes that refer to it.
type record struct {
	name   string
	fields []field
}

type field struct {
	name    string
	plain   key // in JSON
	literal key // in JSON inside a string literal
	node    *node
	null    int16 // the byte that stands for null, -1 when none does
	some    int16 // the byte that stands for the other branch, -1 when none does
}

// key is what stands in front of a field's value: `{"a":` or `,"b":`.
type key struct {
	prefix []byte
	short  [shortPrefix]byte // prefix, when it is no longer than that
}

func newKey(prefix []byte) key {
	k := key{prefix: prefix}
	copy(k.short[:], prefix)
	return k
}

// noNull is the index of the null branch of a union that has a single branch, not null.
const noNull = 127

// shortPrefix is how long the prefixes of most fields are at most: these are copied without a call.
const shortPrefix = 32

type symbol struct {
	text string
	json []byte
}

type branch struct {
	name   string
	prefix []byte
	node   *node
	slot   int // index among the branches that are not null, so of the field; -1 for null
}

// Program is a compiled schema. It is immutable and safe for concurrent use.
type Program struct {
	top encoding
}

// Schema is the Connect schema of the values that the program reads.
func (p *Program) Schema() *connector.Schema { return p.top.node.schema }

// Under gives the same program with root as the first step of the paths in its errors, such
// as "value".
func (p *Program) Under(root string) *Program {
	top := p.top
	top.root = root
	return &Program{top: top}
}

// Value makes a value of data, the Avro bytes of one datum without any prefix, which it keeps.
// Nothing is read but whether it is null. Its errors are *DataError of the Rejected class.
func (p *Program) Value(data []byte) (connector.Value, error) {
	n, isNull, pos := p.top.node, p.top.node.op == opNull, 0
	var err *DataError
	switch {
	case n.null >= 0:
		isNull, pos, err = n.branch(data, 0)
		isNull = isNull || n.op == opNull
	case n.op == opUnion:
		var b *branch
		var next int
		if b, next, err = n.chosen(data, 0); err == nil && b.slot < 0 {
			isNull, pos = true, next
		}
	}
	switch {
	case err != nil:
		return connector.Value{}, err.rejected(p.top.root)
	case isNull:
		return connector.NewValue(n.schema, nil), trailing(data, pos).rejected(p.top.root)
	}
	return connector.Lazy(&p.top, data[pos:]), nil
}

// Check walks the whole of data, the Avro bytes of one datum, and reports what is wrong with it, as
// reading it would: what passes can be read.
func (p *Program) Check(data []byte) error {
	walk := pass{in: data}
	pos, err := p.top.node.skip(&walk, 0)
	if err == nil {
		err = trailing(data, pos)
	}
	return err.rejected(p.top.root)
}

// encoding is a node at the root of a value: what Value.Wire gives for it.
type encoding struct {
	node *node
	root string
	// keys is how many bytes of JSON the names of the fields take: what a new buffer starts with.
	keys int
}

var (
	_ connector.LiteralEncoding = (*encoding)(nil)
	_ connector.LiteralEncoding = (*node)(nil)
)

func (e *encoding) Schema() *connector.Schema { return e.node.schema }

func (e *encoding) AppendJSON(dst, raw []byte, f *connector.Format) ([]byte, error) {
	dst, err := e.node.bare.appendAll(slices.Grow(dst, e.keys+2*len(raw)), raw, f, false)
	return dst, err.rejected(e.root)
}

func (e *encoding) AppendLiteral(dst, raw []byte, f *connector.Format) ([]byte, error) {
	dst, err := e.node.bare.appendAll(slices.Grow(dst, 2*e.keys+2*len(raw)), raw, f, true)
	return dst, err.rejected(e.root)
}

func (e *encoding) Decode(raw []byte) (any, error) {
	v, err := e.node.bare.decodeAll(raw)
	return v, err.rejected(e.root)
}

func (e *encoding) AppendFields(dst []connector.Value, raw []byte) ([]connector.Value, error) {
	return e.node.bare.split(dst, raw, e.root)
}

// A node is the encoding of a field that AppendFields split off. All that can be wrong with
// such bytes was found when they were split, with the whole path.

func (n *node) Schema() *connector.Schema { return n.schema }

func (n *node) AppendJSON(dst, raw []byte, f *connector.Format) ([]byte, error) {
	dst, err := n.appendAll(dst, raw, f, false)
	return dst, err.rejected("")
}

func (n *node) AppendLiteral(dst, raw []byte, f *connector.Format) ([]byte, error) {
	dst, err := n.appendAll(dst, raw, f, true)
	return dst, err.rejected("")
}

func (n *node) Decode(raw []byte) (any, error) {
	v, err := n.decodeAll(raw)
	return v, err.rejected("")
}

func (n *node) AppendFields(dst []connector.Value, raw []byte) ([]connector.Value, error) {
	return n.split(dst, raw, "")
}

// branch reads the index of a union that has one branch which is not null.
func (n *node) branch(in []byte, pos int) (isNull bool, next int, err *DataError) {
	i, next, err := long(in, pos)
	if err != nil {
		return false, pos, err
	}
	if i < 0 || i > 1 || n.null == noNull && i != 0 {
		return false, pos, faultf(pos, "branch %d of a union that has none such", i)
	}
	return i == int64(n.null), next, nil
}

func trailing(in []byte, pos int) *DataError {
	if pos == len(in) {
		return nil
	}
	return faultf(pos, "%d bytes after the end of the value", len(in)-pos)
}
