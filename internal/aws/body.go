package aws

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Body holds the bytes of a request from their making until nothing can read them any more; then its buffer is
// used again. A transport may go on reading a body after its RoundTrip has returned (http.RoundTripper): it is
// done with it when it has closed it. So a buffer goes back when its maker has released it and every reader that
// Open gave is closed; a reader that is never closed costs a buffer, never somebody else's bytes.
type Body struct {
	// Bytes are the maker's to write until the first Open, and do not change afterwards.
	Bytes   []byte
	holders atomic.Int32 // the maker and the open readers
}

// maxPooledBody is more than the largest request of Step Functions needs: 262,144 bytes of input as a literal and
// a kilobyte around them.
const maxPooledBody = 320 << 10

// bodyStep is what capacities are rounded up to, so that a buffer fits most bodies of its kind.
const bodyStep = 4 << 10

var bodies = sync.Pool{New: func() any { return new(Body) }}

// NewBody gives an empty body with room for size bytes, which its maker must Release.
func NewBody(size int) *Body {
	b := bodies.Get().(*Body)
	if cap(b.Bytes) < size {
		b.Bytes = make([]byte, 0, (size+bodyStep-1)/bodyStep*bodyStep)
	}
	b.Bytes = b.Bytes[:0]
	b.holders.Store(1)
	return b
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

// Release is the maker letting go of the body: it must not touch it afterwards.
func (b *Body) Release() {
	if b.holders.Add(-1) == 0 && cap(b.Bytes) <= maxPooledBody {
		bodies.Put(b)
	}
}

// bodyReader hands out copies only, under a lock that Close takes too: when Close has returned, nothing reads the
// bytes through it, whatever the transport does.
type bodyReader struct {
	mu   sync.Mutex // guards the rest
	body *Body      // nil once closed
	at   int
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	n := copy(p, r.body.Bytes[r.at:])
	r.at += n
	if r.at == len(r.body.Bytes) {
		return n, io.EOF
	}
	return n, nil
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
