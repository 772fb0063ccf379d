package avro

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/stepconnect/stepconnect/connector"
)

// decodeAll gives the native form of the whole of raw.
func (n *node) decodeAll(raw []byte) (any, *DataError) {
	p := pass{in: raw}
	v, pos, err := n.decode(&p, 0)
	if err == nil {
		err = trailing(raw, pos)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// decode gives the native form of what stands at pos and the position after it.
func (n *node) decode(p *pass, pos int) (any, int, *DataError) {
	if n.null >= 0 {
		isNull, next, err := n.branch(p.in, pos)
		if err != nil || isNull {
			return nil, next, err
		}
		pos = next
	}
	switch n.op {
	case opNull:
		return nil, pos, nil
	case opInt, opLong, opTemporal:
		v, next, err := n.integer(p.in, pos)
		return n.sized(v), next, err
	case opBytes, opFixed, opDecimal, opFixedDecimal:
		from, to, err := n.bytes(p.in, pos)
		if err != nil {
			return nil, pos, err
		}
		return bytes.Clone(p.in[from:to:to]), to, nil
	case opString:
		from, to, err := span(p.in, pos)
		return string(p.in[from:to]), to, err
	case opEnum:
		s, next, err := n.symbol(p.in, pos)
		if err != nil {
			return nil, pos, err
		}
		return s.text, next, nil
	case opArray:
		return n.decodeArray(p, pos)
	case opMap, opEntries:
		return n.decodeMap(p, pos)
	case opRecord:
		return n.decodeRecord(p, pos)
	case opUnion:
		return n.decodeUnion(p, pos)
	}
	return n.decodeFlat(p, pos)
}

func (n *node) decodeFlat(p *pass, pos int) (any, int, *DataError) {
	switch n.op {
	case opFloat:
		if err := fixed(p.in, pos, 4); err != nil {
			return nil, pos, err
		}
		return math.Float32frombits(binary.LittleEndian.Uint32(p.in[pos:])), pos + 4, nil
	case opDouble:
		if err := fixed(p.in, pos, 8); err != nil {
			return nil, pos, err
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(p.in[pos:])), pos + 8, nil
	}
	v, err := boolean(p.in, pos)
	return v, pos + 1, err
}

// sized gives v, which is within its range, the Go type of the schema.
func (n *node) sized(v int64) any {
	switch n.schema.Type {
	case connector.Int8:
		return int8(v)
	case connector.Int16:
		return int16(v)
	case connector.Int32:
		return int32(v)
	}
	return v
}

func (n *node) decodeRecord(p *pass, pos int) (any, int, *DataError) {
	if err := p.enter(pos, len(n.rec.fields)); err != nil {
		return nil, pos, err
	}
	from := pos
	v := &connector.StructValue{Schema: n.schema, Values: make([]any, len(n.rec.fields))}
	var err *DataError
	for i := range n.rec.fields {
		f := &n.rec.fields[i]
		if v.Values[i], pos, err = f.node.decode(p, pos); err != nil {
			return nil, pos, err.in(f.name)
		}
	}
	p.leave()
	return v, pos, p.part(from, pos)
}

func (n *node) decodeArray(p *pass, pos int) (any, int, *DataError) {
	if err := p.enter(pos, 0); err != nil {
		return nil, pos, err
	}
	list := []any{}
	for {
		b, next, err := p.block(pos)
		if err != nil {
			return nil, pos, err
		}
		if pos = next; b.count == 0 {
			p.leave()
			return list, pos, nil
		}
		for ; b.count > 0; b.count-- {
			var v any
			from := pos
			if v, pos, err = n.elem.decode(p, pos); err == nil {
				err = p.part(from, pos)
			}
			if err != nil {
				return nil, pos, err.in(index(len(list)))
			}
			list = append(list, v)
		}
		if err := b.closed(pos); err != nil {
			return nil, pos, err
		}
	}
}

func (n *node) decodeMap(p *pass, pos int) (any, int, *DataError) {
	if err := p.enter(pos, 0); err != nil {
		return nil, pos, err
	}
	m := &connector.MapValue{}
	for {
		b, next, err := p.block(pos)
		if err != nil {
			return nil, pos, err
		}
		if pos = next; b.count == 0 {
			p.leave()
			return m, pos, nil
		}
		for ; b.count > 0; b.count-- {
			var e connector.Entry
			from := pos
			if e, pos, err = n.decodeEntry(p, pos); err == nil {
				err = p.part(from, pos)
			}
			if err != nil {
				return nil, pos, err.in(index(len(m.Entries)))
			}
			m.Entries = append(m.Entries, e)
		}
		if err := b.closed(pos); err != nil {
			return nil, pos, err
		}
	}
}

func (n *node) decodeEntry(p *pass, pos int) (connector.Entry, int, *DataError) {
	key, pos, err := n.key.decode(p, pos)
	if err != nil {
		return connector.Entry{}, pos, err.in("key")
	}
	v, pos, err := n.elem.decode(p, pos)
	if err != nil {
		return connector.Entry{}, pos, err.in("value")
	}
	return connector.Entry{Key: key, Value: v}, pos, nil
}

func (n *node) decodeUnion(p *pass, pos int) (any, int, *DataError) {
	b, pos, err := n.chosen(p.in, pos)
	if err != nil || b.slot < 0 {
		return nil, pos, err
	}
	if err := p.enter(pos, len(n.union)); err != nil {
		return nil, pos, err
	}
	v := &connector.StructValue{Schema: n.schema, Values: make([]any, len(n.schema.Fields))}
	if v.Values[b.slot], pos, err = b.node.decode(p, pos); err != nil {
		return nil, pos, err.in(b.name)
	}
	p.leave()
	return v, pos, nil
}
