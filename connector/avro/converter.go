package avro

import (
	"context"
	"sync"

	"github.com/stepconnect/stepconnect/connector"
)

// Converter is the converter of keys or of values whose schemas are in a registry, of whatever framing.
type Converter[K SchemaID] struct {
	Programs *Programs[K]
	// Frame finds which schema data was written with and its Avro bytes. Its errors are rejections.
	Frame func(headers []connector.RawHeader, data []byte) (id K, datum []byte, err error)
	IsKey bool
	// Release lets go of the registry client, whose connections close with its last converter. It is called once.
	Release func()
	once    sync.Once
}

// Convert finds the schema of data, fetches it if need be, and gives a lazy value that keeps
// data or what Frame made of it. It walks the bytes once without reading them, so that those which are no datum
// of the schema fail here, at the converter's stage, and not in the sink. The host names topic, partition and
// offset in front of its errors.
func (c *Converter[K]) Convert(ctx context.Context, _ string, headers []connector.RawHeader, data []byte) (connector.Value, error) {
	if data == nil {
		return connector.Value{}, nil
	}
	id, datum, err := c.Frame(headers, data)
	if err != nil {
		return connector.Value{}, connector.Rejected(err)
	}
	program, err := c.Programs.Get(ctx, id, c.IsKey)
	if err != nil {
		return connector.Value{}, err
	}
	return program.Read(datum)
}

// Close calls Release, the first time.
func (c *Converter[K]) Close() error {
	c.once.Do(c.Release)
	return nil
}
