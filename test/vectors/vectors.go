// Package vectors has the change events that Debezium's own classes made. Its tests send them through a real broker and a real
// schema registry, and hold the executions that come out against their exact values.
package vectors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
)

// folder is where the vectors are, as seen from the tests' packages.
const folder = "../testdata/vectors"

// Manifest is what the vectors' manifest.json tells.
type Manifest struct {
	Schemas []struct {
		ID            int
		Subject, File string
	}
	Cases []Vector
}

// Vector is one case. Kind is set for events that are no change of a row.
type Vector struct {
	Name, Topic, Op, Kind string
	At                    broker.Offset // where it was produced, for whoever did
	Expected              Expectation
}

// Expectation is a case's .expected.json.
type Expectation struct {
	Key   any
	Value map[string]any
}

// IDs are the registry's ids of schemas by those in the wire bytes.
type IDs map[uint32]uint32

// IsRow tells a change of a row from tombstones and other kinds of events.
func (c *Vector) IsRow() bool {
	return c.Kind == "" && (c.Op == "c" || c.Op == "u" || c.Op == "d" || c.Op == "r")
}

// Load reads all cases, for a test of a package in a folder beside this one's.
func Load(t testing.TB) *Manifest {
	t.Helper()
	var m Manifest
	read(t, filepath.Join(folder, "manifest.json"), &m)
	for i := range m.Cases {
		c := &m.Cases[i]
		read(t, filepath.Join(folder, "events", c.Name+".expected.json"), &c.Expected)
	}
	return &m
}

func read(t testing.TB, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Register puts the schemas into the registry, under subjects that begin with prefix, and maps the ids of the wire bytes to those it gave.
func (m *Manifest) Register(t testing.TB, registry, prefix string) IDs {
	t.Helper()
	ids := make(IDs)
	for _, s := range m.Schemas {
		text, err := os.ReadFile(filepath.Join(folder, s.File))
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(map[string]string{"schema": string(text)})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			registry+"/subjects/"+url.PathEscape(prefix+s.Subject)+"/versions", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			ID      uint32
			Message string
		}
		err = json.NewDecoder(res.Body).Decode(&answer)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("registering %s: status %d, %+v, %v", s.File, res.StatusCode, answer, err)
		}
		ids[uint32(s.ID)] = answer.ID
	}
	return ids
}

// Wire gives the bytes of a case with the registry's id in them; nil where there are none.
func (ids IDs) Wire(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, "events", name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	id, ok := ids[binary.BigEndian.Uint32(b[1:5])]
	if !ok {
		t.Fatalf("%s names a schema that was not registered", name)
	}
	binary.BigEndian.PutUint32(b[1:5], id)
	return b
}
