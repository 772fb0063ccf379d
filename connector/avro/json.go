package avro

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// jsonPass is the walk that writes JSON.
type jsonPass struct {
	pass
	f       *connector.Format
	start   int  // where this value's text begins in dst
	literal bool // the text goes into a JSON string literal
}

// quote appends a quote of a JSON string.
func (p *jsonPass) quote(dst []byte) []byte {
	if p.literal {
		return append(dst, '\\', '"')
	}
	return append(dst, '"')
}

// text appends a JSON string.
func (p *jsonPass) text(dst, s []byte) []byte {
	if p.literal {
		return jsontext.AppendStringLiteral(dst, s)
	}
	return jsontext.AppendString(dst, s)
}

// float appends a number, or the name of what is none.
func (p *jsonPass) float(dst []byte, v float64, bits int) []byte {
	from := len(dst)
	dst = jsontext.AppendFloat(dst, v, bits)
	if p.literal && dst[from] == '"' {
		return jsontext.Literalize(dst, from)
	}
	return dst
}

// appendAll appends the JSON text of the whole of raw.
func (n *node) appendAll(dst, raw []byte, f *connector.Format, literal bool) ([]byte, *DataError) {
	p := jsonPass{pass: pass{in: raw}, f: f, start: len(dst), literal: literal}
	dst, pos, err := n.json(&p, dst, 0)
	if err == nil {
		err = trailing(raw, pos)
	}
	return dst, err
}

// json appends what stands at pos and gives the position after it.
func (n *node) json(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	if n.null >= 0 {
		isNull, next, err := n.branch(p.in, pos)
		if err != nil {
			return dst, pos, err
		}
		pos = next
		if isNull {
			return append(dst, "null"...), pos, nil
		}
	}
	return n.jsonBare(p, dst, pos)
}

// jsonBare is json behind the index of a union.
func (n *node) jsonBare(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	switch n.op {
	case opString:
		from, to, err := span(p.in, pos)
		if err != nil {
			return dst, pos, err
		}
		return p.text(dst, p.in[from:to]), to, nil
	case opInt, opLong, opTemporal:
		return n.jsonInteger(p, dst, pos)
	case opRecord:
		return n.rec.json(p, dst, pos)
	case opBytes, opFixed, opDecimal, opFixedDecimal:
		return n.jsonBytes(p, dst, pos)
	case opArray:
		return n.jsonArray(p, dst, pos)
	case opMap, opEntries:
		return n.jsonMap(p, dst, pos)
	case opUnion:
		return n.jsonUnion(p, dst, pos)
	}
	return n.jsonSmall(p, dst, pos)
}

// jsonSmall appends the types of a fixed text or size.
func (n *node) jsonSmall(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	switch n.op {
	case opBoolean:
		v, err := boolean(p.in, pos)
		if err != nil {
			return dst, pos, err
		}
		return strconv.AppendBool(dst, v), pos + 1, nil
	case opFloat:
		if err := fixed(p.in, pos, 4); err != nil {
			return dst, pos, err
		}
		v := math.Float32frombits(binary.LittleEndian.Uint32(p.in[pos:]))
		return p.float(dst, float64(v), 32), pos + 4, nil
	case opDouble:
		if err := fixed(p.in, pos, 8); err != nil {
			return dst, pos, err
		}
		v := math.Float64frombits(binary.LittleEndian.Uint64(p.in[pos:]))
		return p.float(dst, v, 64), pos + 8, nil
	case opEnum:
		s, next, err := n.symbol(p.in, pos)
		if err != nil {
			return dst, pos, err
		}
		if p.literal {
			return jsontext.AppendLiteral(dst, s.json), next, nil
		}
		return append(dst, s.json...), next, nil
	}
	return append(dst, "null"...), pos, nil
}

func boolean(in []byte, pos int) (bool, *DataError) {
	if err := fixed(in, pos, 1); err != nil {
		return false, err
	}
	if in[pos] > 1 {
		return false, faultf(pos, "boolean of %d", in[pos])
	}
	return in[pos] == 1, nil
}

func (n *node) symbol(in []byte, pos int) (*symbol, int, *DataError) {
	i, next, err := long(in, pos)
	if err != nil {
		return nil, pos, err
	}
	if i < 0 || i >= int64(len(n.symbols)) {
		return nil, pos, faultf(pos, "symbol %d of an enum of %d", i, len(n.symbols))
	}
	return &n.symbols[i], next, nil
}

// integer reads an int or long and holds it against the range of its Connect type.
func (n *node) integer(in []byte, pos int) (int64, int, *DataError) {
	v, next, err := long(in, pos)
	if err != nil {
		return 0, pos, err
	}
	if v < n.least || v > n.most {
		return 0, pos, n.misfit(v, pos)
	}
	return v, next, nil
}

func (n *node) misfit(v int64, pos int) *DataError {
	return faultf(pos, "%d does not fit %v", v, n.schema.Type)
}

func (n *node) jsonInteger(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	v, next, err := long(p.in, pos)
	if err == nil && (v < n.least || v > n.most) {
		err = n.misfit(v, pos)
	}
	if err != nil {
		return dst, pos, err
	}
	switch {
	case n.op == opTemporal && p.f.Time == connector.TimeISO:
		return p.quote(jsontext.AppendTemporal(p.quote(dst), n.temporal, v)), next, nil
	case n.op == opLong && p.f.Int64 == connector.Int64String:
		return p.quote(jsontext.AppendInt(p.quote(dst), v)), next, nil
	}
	return jsontext.AppendInt(dst, v), next, nil
}

// bytes finds the bytes of a bytes or fixed, whatever they mean.
func (n *node) bytes(in []byte, pos int) (from, to int, err *DataError) {
	if n.op == opFixed || n.op == opFixedDecimal {
		return pos, pos + n.size, fixed(in, pos, n.size)
	}
	from, to, err = span(in, pos)
	if err == nil && n.op == opDecimal && (from == to || to-from > jsontext.MaxUnscaled) {
		err = faultf(pos, "decimal of %d bytes: it has 1 to %d", to-from, jsontext.MaxUnscaled)
	}
	return from, to, err
}

func (n *node) jsonBytes(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	from, to, err := n.bytes(p.in, pos)
	if err != nil {
		return dst, pos, err
	}
	b := p.in[from:to]
	if n.op == opDecimal || n.op == opFixedDecimal {
		quoted := p.f.Decimal == connector.DecimalString
		if quoted {
			dst = p.quote(dst)
		}
		var bad error
		if dst, bad = jsontext.AppendDecimal(dst, b, n.scale); bad != nil {
			return dst, pos, faultf(pos, "%v", bad)
		}
		if quoted {
			dst = p.quote(dst)
		}
		return dst, to, nil
	}
	dst = p.quote(dst)
	if p.f.Binary == connector.BinaryHex {
		dst = jsontext.AppendHex(dst, b)
	} else {
		dst = jsontext.AppendBase64(dst, b)
	}
	return p.quote(dst), to, nil
}

func (r *record) json(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	if err := p.room(dst, pos, len(r.fields)); err != nil {
		return dst, pos, err
	}
	if len(r.fields) == 0 {
		dst = append(dst, '{')
	}
	from := pos
	for i := range r.fields {
		f := &r.fields[i]
		k := &f.plain
		if p.literal {
			k = &f.literal
		}
		if end := len(dst) + len(k.prefix); len(k.prefix) <= shortPrefix && cap(dst)-len(dst) >= shortPrefix {
			*(*[shortPrefix]byte)(dst[len(dst) : len(dst)+shortPrefix]) = k.short
			dst = dst[:end]
		} else {
			dst = append(dst, k.prefix...)
		}
		n := f.node
		if f.null >= 0 && pos < len(p.in) {
			switch int16(p.in[pos]) {
			case f.null:
				dst = append(dst, "null"...)
				pos++
				continue
			case f.some:
				n = n.bare
				pos++
			}
		}
		// Most columns are null or a short string: those are not worth a call.
		if n.op == opString && n.null < 0 && pos < len(p.in) && p.in[pos] < 0x80 && p.in[pos]&1 == 0 {
			if to := pos + 1 + int(p.in[pos]>>1); to <= len(p.in) {
				dst, pos = p.text(dst, p.in[pos+1:to]), to
				continue
			}
		}
		var err *DataError
		if dst, pos, err = n.json(p, dst, pos); err != nil {
			return dst, pos, err.in(f.name)
		}
	}
	p.leave()
	return append(dst, '}'), pos, p.part(from, pos)
}

// room is enter, and checks that the text has not grown beyond all measure.
func (p *jsonPass) room(dst []byte, pos, slots int) *DataError {
	if len(dst)-p.start > maxJSON {
		return faultf(pos, "the value's JSON is longer than %d bytes", maxJSON)
	}
	return p.enter(pos, slots)
}

func (n *node) jsonArray(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	if err := p.enter(pos, 0); err != nil {
		return dst, pos, err
	}
	dst = append(dst, '[')
	for i := 0; ; {
		b, next, err := p.block(pos)
		if err != nil {
			return dst, pos, err
		}
		if pos = next; b.count == 0 {
			p.leave()
			return append(dst, ']'), pos, nil
		}
		for ; b.count > 0; b.count-- {
			if i > 0 {
				dst = append(dst, ',')
			}
			from := pos
			if dst, pos, err = n.elem.json(p, dst, pos); err == nil {
				err = p.more(dst, from, pos)
			}
			if err != nil {
				return dst, pos, err.in(index(i))
			}
			i++
		}
		if err := b.closed(pos); err != nil {
			return dst, pos, err
		}
	}
}

// more is part, and checks that the text has not grown beyond all measure.
func (p *jsonPass) more(dst []byte, from, to int) *DataError {
	if len(dst)-p.start > maxJSON {
		return faultf(from, "the value's JSON is longer than %d bytes", maxJSON)
	}
	return p.part(from, to)
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// jsonMap appends a map, or an array of key-value records: as an object when its keys are
// strings, else as an array of pairs.
func (n *node) jsonMap(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	if err := p.enter(pos, 0); err != nil {
		return dst, pos, err
	}
	brackets := "[]"
	if n.object {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	for i := 0; ; {
		b, next, err := p.block(pos)
		if err != nil {
			return dst, pos, err
		}
		if pos = next; b.count == 0 {
			p.leave()
			return append(dst, brackets[1]), pos, nil
		}
		for ; b.count > 0; b.count-- {
			if i > 0 {
				dst = append(dst, ',')
			}
			from := pos
			if dst, pos, err = n.jsonEntry(p, dst, pos); err == nil {
				err = p.more(dst, from, pos)
			}
			if err != nil {
				return dst, pos, err.in(index(i))
			}
			i++
		}
		if err := b.closed(pos); err != nil {
			return dst, pos, err
		}
	}
}

func (n *node) jsonEntry(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	between := byte(',')
	if n.object {
		between = ':'
	} else {
		dst = append(dst, '[')
	}
	dst, pos, err := n.key.json(p, dst, pos)
	if err != nil {
		return dst, pos, err.in("key")
	}
	if dst, pos, err = n.elem.json(p, append(dst, between), pos); err != nil {
		return dst, pos, err.in("value")
	}
	if !n.object {
		dst = append(dst, ']')
	}
	return dst, pos, nil
}

// chosen reads which branch of a general union follows.
func (n *node) chosen(in []byte, pos int) (*branch, int, *DataError) {
	i, next, err := long(in, pos)
	if err != nil {
		return nil, pos, err
	}
	if i < 0 || i >= int64(len(n.union)) {
		return nil, pos, faultf(pos, "branch %d of a union of %d", i, len(n.union))
	}
	return &n.union[i], next, nil
}

// jsonUnion appends a general union as AvroData's struct: a field for each branch, all null
// but the one that is there.
func (n *node) jsonUnion(p *jsonPass, dst []byte, pos int) ([]byte, int, *DataError) {
	chosen, pos, err := n.chosen(p.in, pos)
	if err != nil {
		return dst, pos, err
	}
	if chosen.slot < 0 {
		return append(dst, "null"...), pos, nil
	}
	if err := p.room(dst, pos, len(n.union)); err != nil {
		return dst, pos, err
	}
	for i := range n.union {
		b := &n.union[i]
		if b.slot < 0 {
			continue
		}
		if p.literal {
			dst = jsontext.AppendLiteral(dst, b.prefix)
		} else {
			dst = append(dst, b.prefix...)
		}
		if b != chosen {
			dst = append(dst, "null"...)
			continue
		}
		if dst, pos, err = b.node.json(p, dst, pos); err != nil {
			return dst, pos, err.in(b.name)
		}
	}
	p.leave()
	return append(dst, '}'), pos, nil
}
