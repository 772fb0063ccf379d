package metric

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Destination is where lines in CloudWatch's embedded metric format go: standard output, a file that is appended to, or
// the socket of a CloudWatch agent, tcp://host:port or udp://host:port.
type Destination struct {
	Text   string
	Stdout io.Writer
}

// agentWait bounds what a CloudWatch agent may take.
const agentWait = 5 * time.Second

// CheckDestination reads the text of a destination.
func CheckDestination(text string) error {
	if !strings.Contains(text, "://") {
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("it is empty; name stdout, a file, tcp://host:port or udp://host:port")
		}
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "tcp" && u.Scheme != "udp" || u.Hostname() == "" || u.Port() == "" {
		return fmt.Errorf("%q is none of stdout, a file, tcp://host:port and udp://host:port", text)
	}
	return nil
}

// write writes lines, each as one write: between two of them others may write too.
func (d Destination) write(ctx context.Context, lines [][]byte) (err error) {
	if len(lines) == 0 {
		return nil
	}
	out := d.Stdout
	switch scheme, address, remote := strings.Cut(d.Text, "://"); {
	case remote:
		dialer := net.Dialer{Timeout: agentWait}
		conn, err := dialer.DialContext(ctx, scheme, address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetWriteDeadline(time.Now().Add(agentWait)); err != nil {
			return err
		}
		out = conn
	case d.Text != "stdout":
		f, err := os.OpenFile(d.Text, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	for _, line := range lines {
		if _, err := out.Write(append(bytes.Clone(line), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// Write writes the lines of each interval until ctx ends, and those of the last, shorter one then. What cannot be written is
// told in the log and lost: numbers of an old interval help nobody.
func (e *EMF) Write(ctx context.Context, every time.Duration, to Destination, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for over := false; !over; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			over = true
		}
		lines, err := e.Lines(time.Now())
		if err == nil {
			writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), agentWait)
			err = to.write(writing, lines)
			cancel()
		}
		if err != nil && !failing {
			log.Warn("metrics for CloudWatch cannot be written; check metrics.emf.destination", "destination", to.Text, "error", err)
		}
		failing = err != nil
	}
}
