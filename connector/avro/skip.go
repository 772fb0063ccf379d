package avro

import "github.com/stepconnect/stepconnect/connector"

// skip gives the position after what stands at pos. It finds everything that json would find
// wrong, so that the parts of a split value cannot fail later.
func (n *node) skip(p *pass, pos int) (int, *DataError) {
	if n.null >= 0 {
		isNull, next, err := n.branch(p.in, pos)
		if err != nil || isNull {
			return next, err
		}
		pos = next
	}
	switch n.op {
	case opNull:
		return pos, nil
	case opString:
		_, to, err := span(p.in, pos)
		return to, err
	case opLong:
		_, next, err := long(p.in, pos)
		return next, err
	case opInt, opTemporal:
		_, next, err := n.integer(p.in, pos)
		return next, err
	case opRecord:
		return n.rec.skip(p, pos)
	case opBytes, opFixed, opDecimal, opFixedDecimal:
		_, to, err := n.bytes(p.in, pos)
		return to, err
	case opArray, opMap, opEntries:
		return n.skipBlocks(p, pos)
	case opUnion:
		return n.skipUnion(p, pos)
	}
	return n.skipSmall(p, pos)
}

func (n *node) skipSmall(p *pass, pos int) (int, *DataError) {
	switch n.op {
	case opFloat:
		return pos + 4, fixed(p.in, pos, 4)
	case opDouble:
		return pos + 8, fixed(p.in, pos, 8)
	case opEnum:
		_, next, err := n.symbol(p.in, pos)
		return next, err
	}
	_, err := boolean(p.in, pos)
	return pos + 1, err
}

func (r *record) skip(p *pass, pos int) (int, *DataError) {
	if err := p.enter(pos, len(r.fields)); err != nil {
		return pos, err
	}
	from := pos
	var err *DataError
	for i := range r.fields {
		f := &r.fields[i]
		n := f.node
		if f.null >= 0 && pos < len(p.in) {
			switch int16(p.in[pos]) {
			case f.null:
				pos++
				continue
			case f.some:
				n = n.bare
				pos++
			}
		}
		// Most columns are null, a short string or a number of one byte: those are not worth a call.
		if n.null < 0 && pos < len(p.in) && p.in[pos] < 0x80 {
			switch b := p.in[pos]; n.op {
			case opLong:
				pos++
				continue
			case opString:
				if to := pos + 1 + int(b>>1); b&1 == 0 && to <= len(p.in) {
					pos = to
					continue
				}
			}
		}
		if pos, err = n.skip(p, pos); err != nil {
			return pos, err.in(f.name)
		}
	}
	p.leave()
	return pos, p.part(from, pos)
}

// skipBlocks skips an array or map. Blocks that tell their size are walked all the same: what
// is in them is checked before anything of the value is handed out.
func (n *node) skipBlocks(p *pass, pos int) (int, *DataError) {
	if err := p.enter(pos, 0); err != nil {
		return pos, err
	}
	for i := 0; ; {
		b, next, err := p.block(pos)
		if err != nil {
			return pos, err
		}
		if pos = next; b.count == 0 {
			p.leave()
			return pos, nil
		}
		for ; b.count > 0; b.count-- {
			from := pos
			if pos, err = n.skipElement(p, pos); err == nil {
				err = p.part(from, pos)
			}
			if err != nil {
				return pos, err.in(index(i))
			}
			i++
		}
		if err := b.closed(pos); err != nil {
			return pos, err
		}
	}
}

func (n *node) skipElement(p *pass, pos int) (int, *DataError) {
	if n.key == nil {
		return n.elem.skip(p, pos)
	}
	pos, err := n.key.skip(p, pos)
	if err != nil {
		return pos, err.in("key")
	}
	if pos, err = n.elem.skip(p, pos); err != nil {
		return pos, err.in("value")
	}
	return pos, nil
}

func (n *node) skipUnion(p *pass, pos int) (int, *DataError) {
	b, pos, err := n.chosen(p.in, pos)
	if err != nil || b.slot < 0 {
		return pos, err
	}
	if err := p.enter(pos, len(n.union)); err != nil {
		return pos, err
	}
	if pos, err = b.node.skip(p, pos); err != nil {
		return pos, err.in(b.name)
	}
	p.leave()
	return pos, nil
}

// split appends a value for each field of the struct that raw holds. On an error dst comes
// back as it was.
func (n *node) split(dst []connector.Value, raw []byte, root string) ([]connector.Value, error) {
	p := pass{in: raw}
	var fields []connector.Value
	var pos int
	var err *DataError
	switch {
	case n.op == opRecord:
		fields, pos, err = n.rec.split(&p, dst)
	case n.op == opUnion:
		fields, pos, err = n.splitUnion(&p, dst)
	default:
		return dst, connector.ErrNotStruct
	}
	if err == nil {
		err = trailing(raw, pos)
	}
	if err != nil {
		return dst, err.rejected(root)
	}
	return fields, nil
}

func (r *record) split(p *pass, dst []connector.Value) ([]connector.Value, int, *DataError) {
	if err := p.enter(0, len(r.fields)); err != nil {
		return dst, 0, err
	}
	pos := 0
	for i := range r.fields {
		f := &r.fields[i]
		from, n := pos, f.node
		if n.null >= 0 {
			isNull, next, err := n.branch(p.in, pos)
			if err != nil {
				return dst, pos, err.in(f.name)
			}
			if pos = next; isNull {
				dst = append(dst, connector.NewValue(n.schema, nil))
				continue
			}
			from, n = next, n.bare
		}
		var err *DataError
		if pos, err = n.skip(p, pos); err != nil {
			return dst, pos, err.in(f.name)
		}
		dst = append(dst, n.value(p.in[from:pos:pos]))
	}
	p.leave()
	return dst, pos, p.part(0, pos)
}

// value of raw, which skip has walked. A null has no bytes, and a union's may be the null branch.
func (n *node) value(raw []byte) connector.Value {
	switch n.op {
	case opNull:
		return connector.NewValue(n.schema, nil)
	case opUnion:
		if b, _, err := n.chosen(raw, 0); err == nil && b.slot < 0 {
			return connector.NewValue(n.schema, nil)
		}
	}
	return connector.Lazy(n, raw)
}

func (n *node) splitUnion(p *pass, dst []connector.Value) ([]connector.Value, int, *DataError) {
	chosen, pos, err := n.chosen(p.in, 0)
	if err != nil {
		return dst, pos, err
	}
	if err := p.enter(pos, len(n.union)); err != nil {
		return dst, pos, err
	}
	for i := range n.union {
		b := &n.union[i]
		if b.slot < 0 {
			continue
		}
		if b != chosen {
			dst = append(dst, connector.NewValue(b.node.schema, nil))
			continue
		}
		from := pos
		if pos, err = b.node.skip(p, pos); err != nil {
			return dst, pos, err.in(b.name)
		}
		dst = append(dst, b.node.value(p.in[from:pos:pos]))
	}
	p.leave()
	return dst, pos, nil
}
