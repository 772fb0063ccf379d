// Package file is FileStreamSink, the connector that every Kafka Connect client and tutorial is tried
// with: it appends the text of each value and a line feed to a file, or to standard output.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

// Class is Kafka Connect's name of the connector.
const Class = "org.apache.kafka.connect.file.FileStreamSinkConnector"

// Stream is the connector. Its values are written in the order of their partition, as Kafka Connect
// writes them: that is why its default for the host's key ordering is partition.
type Stream struct {
	version string
	stdout  io.Writer
}

// New makes the connector with the version that it shows; values go to stdout where no file is named.
func New(version string, stdout io.Writer) Stream { return Stream{version, stdout} }

// Info implements connector.Connector.
func (s Stream) Info() connector.Info {
	return connector.Info{Class: Class, Version: s.version, Doc: "Appends the text of each value and a line feed to a file."}
}

// Config implements connector.Connector.
func (s Stream) Config() *config.Def {
	return config.New(
		config.Key{Name: "file", Nullable: true, Importance: config.High,
			Doc: "Destination filename. If not specified, the standard output will be used"},
		config.Key{Name: "ordering", Default: "partition", Validate: config.OneOf("key", "partition"), Importance: config.Medium, Internal: true,
			Doc: "What is written in order: all records of a partition, or the records of one consumed key."},
	)
}

// NewSink implements connector.Connector. A file that cannot be opened is not retried: a path is wrong
// until somebody corrects it.
func (s Stream) NewSink(_ context.Context, cfg config.Values, tc connector.TaskContext) (connector.Sink, error) {
	path := cfg.String("file")
	if path == "" {
		return &sink{name: "standard output", out: s.stdout}, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("Couldn't find or create file '%s' for FileStreamSinkTask: %w", path, err) //nolint:staticcheck // Kafka's words
	}
	tc.Log.Debug("file opened", "file", path)
	return &sink{name: path, out: f, file: f}, nil
}

// sink appends to one file.
type sink struct {
	name string
	file *os.File // nil for standard output

	mu  sync.Mutex // guards out and buf: batches must not mix
	out io.Writer
	buf bytes.Buffer
}

// Deliver appends the batch with one write and makes it durable: an offset is committed only for what
// survives a crash. After a failed write lines may be there twice, as after any redelivery.
func (s *sink) Deliver(ctx context.Context, batch []*connector.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.buf.Reset()
	failed := map[int]error{}
	for i, r := range batch {
		before := s.buf.Len()
		if err := appendText(&s.buf, r.Value); err != nil {
			s.buf.Truncate(before)
			failed[i] = connector.Rejected(fmt.Errorf("value cannot be written as text: %w", err))
			continue
		}
		s.buf.WriteByte('\n')
	}
	if err := s.write(); err != nil {
		return connector.Retryable(fmt.Errorf("append to %s: %w", s.name, err))
	}
	if len(failed) > 0 {
		return &connector.PartialError{Failed: failed}
	}
	return nil
}

func (s *sink) write() error {
	if _, err := s.out.Write(s.buf.Bytes()); err != nil || s.file == nil {
		return err
	}
	// Pipes and devices cannot be synced, and need not be.
	if err := s.file.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// Close implements connector.Sink.
func (s *sink) Close(context.Context) error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
