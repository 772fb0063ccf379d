package chaos

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
)

// nameServer answers every question for an IPv4 address with 127.0.0.1, or fails (SERVFAIL) while it is told to.
type nameServer struct {
	addr    string
	failing atomic.Bool
	failed  atomic.Int64
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{addr: conn.LocalAddr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := s.answer(buf[:n]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return s
}

// answer makes the answer to a query (RFC 1035, section 4); nil to one that cannot be read.
func (s *nameServer) answer(query []byte) []byte {
	const header, typeA = 12, 1
	end := header
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	if end += 5; end > len(query) {
		return nil
	}
	out := append([]byte{}, query[:end]...)
	binary.BigEndian.PutUint16(out[2:], 0x8180) // a response, recursion available
	binary.BigEndian.PutUint16(out[4:], 1)
	clear(out[6:header])
	switch {
	case s.failing.Load():
		s.failed.Add(1)
		out[3] |= 2 // SERVFAIL
	case binary.BigEndian.Uint16(out[end-4:]) == typeA:
		out[7] = 1                                                        // one answer:
		out = append(out, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // the name asked for, not to be kept
		out = append(out, 127, 0, 0, 1)
	}
	return out
}
