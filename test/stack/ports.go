package stack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Ports are taken below the range from which the kernel gives ports to outgoing connections, so
// that a stopped server finds its port free when it is started again.
const (
	firstPort = 18000
	lastPort  = 32000
)

// port is a port of 127.0.0.1 that no other process of this package takes while it is held.
type port struct {
	number int
	lock   *os.File
}

func (p *port) String() string { return strconv.Itoa(p.number) }

// addr is the port with its host.
func (p *port) addr() string { return net.JoinHostPort("127.0.0.1", p.String()) }

// release lets others have the port.
func (p *port) release() { _ = p.lock.Close() }

// takePorts reserves n free ports.
func takePorts(ctx context.Context, n int) ([]*port, error) {
	dir := filepath.Join(os.TempDir(), "stepconnect-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("reserve ports: %w", err)
	}
	var ports []*port
	for range 200 {
		if len(ports) == n {
			return ports, nil
		}
		p, err := takePort(ctx, dir, firstPort+rand.IntN(lastPort-firstPort))
		if err == nil {
			ports = append(ports, p)
		}
	}
	releasePorts(ports)
	return nil, fmt.Errorf("no %d free ports between %d and %d on 127.0.0.1", n, firstPort, lastPort)
}

func releasePorts(ports []*port) {
	for _, p := range ports {
		p.release()
	}
}

func takePort(ctx context.Context, dir string, number int) (*port, error) {
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(number)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(number)))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &port{number: number, lock: lock}, l.Close()
}
