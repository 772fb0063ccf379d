package aws

import (
	"crypto/sha256"
	"hash"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Body is the body of a request, put together from parts that are not copied: the changes of a start stand in memory once.
// A transport may go on reading a body after its RoundTrip has returned (http.RoundTripper): it is done with it when it
// has closed it. So the parts are free to be changed when the maker has released the body *and* every reader that Open gave
// is closed; Release says whether that is so.
type Body struct {
	parts   [][]byte
	small   []byte // what AddCopy has copied
	size    int
	before  func() error // asked before the first byte is read; nil: always
	holders atomic.Int32 // the maker and the open readers
}

// maxPooledParts keeps the lists of rare bodies of very many parts out of the pool.
const maxPooledParts = 4 << 10

var bodies = sync.Pool{New: func() any { return new(Body) }}

// NewBody gives an empty body, which its maker must Release.
func NewBody() *Body {
	b := bodies.Get().(*Body)
	b.holders.Store(1)
	return b
}

// Add appends a part, which must not change until the body is free. It must not be called after the first Open.
func (b *Body) Add(part []byte) {
	if len(part) > 0 {
		b.parts = append(b.parts, part)
		b.size += len(part)
	}
}

// AddCopy appends a copy of a short part.
func (b *Body) AddCopy(part []byte) {
	from := len(b.small)
	b.small = append(b.small, part...) // parts before it stay where they are
	b.Add(b.small[from:])
}

// Before has may asked each time that a transport begins to read the body. With an error of may none of it is sent, so the
// request is never whole and nothing comes of it; that error is the call's. It must not be called after the first Open.
func (b *Body) Before(may func() error) { b.before = may }

// Size is how many bytes the body has.
func (b *Body) Size() int { return b.size }

var hashes = sync.Pool{New: func() any { return sha256.New() }}

// sum is the SHA-256 of the body's bytes.
func (b *Body) sum() (sum [sha256.Size]byte) {
	h := hashes.Get().(hash.Hash)
	defer hashes.Put(h)
	h.Reset()
	for _, part := range b.parts {
		_, _ = h.Write(part) // never fails (package hash)
	}
	h.Sum(sum[:0])
	return sum
}

// Open gives a reader of the bytes from their beginning. It fails once everybody has let go of the body.
func (b *Body) Open() (io.ReadCloser, error) {
	for {
		n := b.holders.Load()
		if n == 0 {
			return nil, http.ErrBodyReadAfterClose
		}
		if b.holders.CompareAndSwap(n, n+1) {
			return &bodyReader{body: b}, nil
		}
	}
}

// Release is the maker letting go of the body: it must not touch it afterwards. free says that nobody can read the
// parts any more; without it a reader may still, and they must be left to the garbage collector.
func (b *Body) Release() (free bool) {
	if b.holders.Add(-1) > 0 {
		return false
	}
	if cap(b.parts) <= maxPooledParts {
		clear(b.parts) // they belong to others
		b.parts, b.small, b.size, b.before = b.parts[:0], b.small[:0], 0, nil
		bodies.Put(b)
	}
	return true
}

// bodyReader hands out copies only, under a lock that Close takes too: when Close has returned, nothing reads the
// bytes through it, whatever the transport does.
type bodyReader struct {
	mu   sync.Mutex // guards the rest
	body *Body      // nil once closed
	part int        // where reading goes on: the part, and the place in it
	at   int
}

func (r *bodyReader) Read(p []byte) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	if b := r.body; r.part == 0 && r.at == 0 && b.before != nil {
		if err := b.before(); err != nil {
			return 0, err
		}
	}
	parts := r.body.parts
	for r.part < len(parts) {
		if n == len(p) {
			return n, nil
		}
		c := copy(p[n:], parts[r.part][r.at:])
		n += c
		if r.at += c; r.at == len(parts[r.part]) {
			r.part, r.at = r.part+1, 0
		}
	}
	return n, io.EOF
}

func (r *bodyReader) Close() error {
	r.mu.Lock()
	b := r.body
	r.body = nil
	r.mu.Unlock()
	if b != nil {
		b.Release()
	}
	return nil
}
