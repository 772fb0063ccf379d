package avro

import (
	"math"

	"github.com/stepconnect/stepconnect/connector"
)

// walked is the encoding of a record that has been walked: it knows where the fields end, so that whoever splits it, as
// every envelope is split, need not walk it again.
type walked struct {
	*encoding
	data *byte // the first of the bytes that were walked, and how many they are
	size uint32
	ends [maxWalked]uint32
}

// Of so many fields the ends are remembered; Debezium's envelopes have 8. A walked of maxWalked has 64 bytes, which a key of
// few columns is not worth.
const (
	minWalked = 4
	maxWalked = 11
)

var _ connector.LiteralEncoding = (*walked)(nil)

// Read is Check and then Value, in one walk where data is a record.
func (p *Program) Read(data []byte) (connector.Value, error) {
	n := p.top.node
	if n.op != opRecord || n.null >= 0 || len(n.rec.fields) < minWalked || len(n.rec.fields) > maxWalked || len(data) == 0 || len(data) > math.MaxInt32 {
		if err := p.Check(data); err != nil {
			return connector.Value{}, err
		}
		return p.Value(data)
	}
	w := &walked{encoding: &p.top, data: &data[0], size: uint32(len(data))}
	pos, err := n.rec.walk(&pass{in: data}, w.ends[:])
	if err == nil {
		err = trailing(data, pos)
	}
	if err != nil {
		return connector.Value{}, err.rejected(p.top.root)
	}
	return connector.Lazy(w, data), nil
}

// walk is skip from the beginning, and tells where each field ends.
func (r *record) walk(p *pass, ends []uint32) (int, *DataError) {
	if err := p.enter(0, len(r.fields)); err != nil {
		return 0, err
	}
	pos := 0
	for i := range r.fields {
		var err *DataError
		if pos, err = r.fields[i].node.skip(p, pos); err != nil {
			return pos, err.in(r.fields[i].name)
		}
		ends[i] = uint32(pos)
	}
	p.leave()
	return pos, p.part(0, pos)
}

// AppendFields cuts where the walk has found the ends; other bytes than those it splits like any.
func (w *walked) AppendFields(dst []connector.Value, raw []byte) ([]connector.Value, error) {
	if len(raw) != int(w.size) || &raw[0] != w.data {
		return w.encoding.AppendFields(dst, raw)
	}
	from := 0
	for i := range w.node.rec.fields {
		n, to := w.node.rec.fields[i].node, int(w.ends[i])
		isNull := false
		if n.null >= 0 {
			isNull, from, _ = n.branch(raw, from) // the walk has read it
			if !isNull {
				n = n.bare
			}
		}
		if isNull {
			dst = append(dst, connector.NewValue(n.schema, nil))
		} else {
			dst = append(dst, n.value(raw[from:to:to]))
		}
		from = to
	}
	return dst, nil
}
