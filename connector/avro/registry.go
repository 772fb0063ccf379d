package avro

import (
	"context"
	"fmt"

	"github.com/riferrei/srclient"

	"github.com/stepconnect/stepconnect/connector"
)

// maxRefs is how many schemas one schema may refer to, directly or not.
const maxRefs = 1000

// registry fetches and keeps the programs of a schema registry's schemas. It is safe for
// concurrent use.
type registry struct {
	*Programs[schemaID]
	client *client
}

func newRegistry(s settings) (*registry, error) {
	c, err := newClient(s)
	if err != nil {
		return nil, err
	}
	r := &registry{client: c}
	r.Programs = NewPrograms("schema registry "+c.String(), s.cacheSize, r.fetch)
	return r, nil
}

// fetch asks for a schema and all that it refers to, and compiles it.
func (r *registry) fetch(ctx context.Context, id schemaID) (Fetched, error) {
	d, err := r.client.schema(ctx, id)
	if err != nil {
		return Fetched{}, err
	}
	refs, err := r.references(ctx, id, d.refs)
	if err != nil {
		return Fetched{}, err
	}
	return r.compile(id, d, refs), nil
}

func (r *registry) compile(id schemaID, d document, refs []string) Fetched {
	reject := func(err error) Fetched {
		return Fetched{Err: connector.Rejected(fmt.Errorf("%s of schema registry %v: %w", id, r.client, err))}
	}
	if d.kind != "" && d.kind != string(srclient.Avro) {
		return reject(fmt.Errorf("it is of type %s, not AVRO: use the converter of that format", d.kind))
	}
	p, err := compile(d.text, refs, r.client.settings.fullNames)
	if err != nil {
		return reject(err)
	}
	return Fetched{Program: p}
}

// references fetches what the refs of schema id name and what that refers to in turn, each once, in an order in
// which each comes after what it refers to.
func (r *registry) references(ctx context.Context, id schemaID, refs []srclient.Reference) ([]string, error) {
	type version struct {
		subject string
		number  int
	}
	var texts []string
	seen := map[version]bool{}
	var visit func(refs []srclient.Reference) error
	visit = func(refs []srclient.Reference) error {
		for _, ref := range refs {
			v := version{ref.Subject, ref.Version}
			if seen[v] {
				continue
			}
			if len(seen) >= maxRefs {
				return connector.Rejected(fmt.Errorf("%s of schema registry %v refers to more than %d others", id, r.client, maxRefs))
			}
			seen[v] = true
			d, err := r.client.version(ctx, ref)
			if err != nil {
				return err
			}
			if err := visit(d.refs); err != nil {
				return err
			}
			texts = append(texts, d.text)
		}
		return nil
	}
	err := visit(refs)
	return texts, err
}

// Close ends the fetches that run and closes the connections.
func (r *registry) Close() {
	r.Programs.Close()
	r.client.close()
}
