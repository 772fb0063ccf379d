package stepfunctions

import "sync"

// shelf keeps the changes that are not in use, by the size of their buffers. A change waits in memory until it is
// delivered, thousands at a time, so it is written into a draft, which has grown to what the largest needed, and kept in a buffer
// of its own size. It is safe for concurrent use; the zero value is ready.
type shelf struct {
	drafts sync.Pool          // of *prepared
	kept   [shelves]sync.Pool // of *prepared, by the capacity of literal in shelfSteps
}

const (
	shelfStep = 256
	shelves   = 65 // the largest buffer that is used again has 16 KiB
	// maxDraft keeps the drafts of rare huge changes from staying.
	maxDraft = 64 << 10
)

// draft gives what a change may be written into; discard it.
func (s *shelf) draft() *prepared {
	if p, ok := s.drafts.Get().(*prepared); ok {
		return p
	}
	return new(prepared)
}

func (s *shelf) discard(p *prepared) {
	if cap(p.literal) <= maxDraft {
		*p = prepared{literal: p.literal[:0]}
		s.drafts.Put(p)
	}
}

// keep copies a draft.
func (s *shelf) keep(draft *prepared) *prepared {
	steps := (len(draft.literal) + shelfStep - 1) / shelfStep
	var p *prepared
	if steps < shelves {
		p, _ = s.kept[steps].Get().(*prepared)
	}
	if p == nil {
		p = &prepared{literal: make([]byte, 0, steps*shelfStep)}
	}
	literal := p.literal
	literal = append(literal, draft.literal...)
	*p = *draft
	p.literal = literal
	return p
}

// release takes back what keep gave.
func (s *shelf) release(p *prepared) {
	if steps := cap(p.literal) / shelfStep; steps < shelves {
		*p = prepared{literal: p.literal[:0]}
		s.kept[steps].Put(p)
	}
}
