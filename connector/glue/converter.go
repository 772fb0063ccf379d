package glue

import (
	"context"
	"sync"

	"github.com/stepconnect/stepconnect/connector"
)

// converter is the AWSKafkaAvroConverter of keys or values.
type converter struct {
	registry *registry
	isKey    bool
	release  func()
	once     sync.Once
}

// Convert finds the schema of data, fetches it if need be, and gives a lazy value that keeps data or what it inflates
// to. It walks the bytes once, so that those which are no datum of the schema fail here. The host names topic,
// partition and offset in front of its errors.
func (c *converter) Convert(ctx context.Context, _ string, _ []connector.RawHeader, data []byte) (connector.Value, error) {
	if data == nil {
		return connector.Value{}, nil
	}
	id, datum, err := frame(data)
	if err != nil {
		return connector.Value{}, connector.Rejected(err)
	}
	program, err := c.registry.Get(ctx, id, c.isKey)
	if err != nil {
		return connector.Value{}, err
	}
	return program.Read(datum)
}

// Close lets go of the registry client, whose connections close with its last converter.
func (c *converter) Close() error {
	c.once.Do(c.release)
	return nil
}
