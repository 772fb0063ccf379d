package registry

import (
	"bytes"
	"crypto/md5" //nolint:gosec // names content, as Confluent's GUID does; nothing is protected by it
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/twmb/avro"
)

// Schema is a schema as a client sends it.
type Schema struct {
	// Text is the schema itself: JSON for AVRO and JSON.
	Text string `json:"schema"`
	// Type is "AVRO", "JSON" or "PROTOBUF"; "" is AVRO.
	Type string `json:"schemaType,omitempty"`
	// References are the schemas that Text uses by name.
	References []Reference `json:"references,omitempty"`
}

// Reference is a use of another subject's schema.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// Registered is a schema under a subject.
type Registered struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int    `json:"id"`
	GUID    string `json:"guid"`
	Schema
}

// entry is one version of a subject.
type entry struct {
	version int
	id      int
	deleted bool // softly
}

// store holds the schemas. Its methods take their own lock.
type store struct {
	mu       sync.Mutex // guards all below
	byID     map[int]Schema
	ids      map[string][]int // content -> ids, the one to give out first
	subjects map[string][]entry
	lastID   int
	levels   map[string]string // compatibility by subject, "" is global
	modes    map[string]string // by subject, "" is global
}

func newStore() *store {
	return &store{
		byID: map[int]Schema{}, ids: map[string][]int{}, subjects: map[string][]entry{},
		levels: map[string]string{"": "BACKWARD"}, modes: map[string]string{"": "READWRITE"},
	}
}

// content is what makes two schemas the same.
func (s Schema) content() string {
	refs, _ := json.Marshal(s.References) // text and numbers: cannot fail
	return s.Type + "\n" + s.Text + "\n" + string(refs)
}

// guid is the content's name as a UUID.
func (s Schema) guid() string {
	b := md5.Sum([]byte(s.content())) //nolint:gosec // see the import
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// wire is s as the registry sends it: AVRO goes without a type.
func (s Schema) wire() Schema {
	if s.Type == "AVRO" {
		s.Type = ""
	}
	return s
}

// canonical checks s and brings it into the form it is kept in; mu is held.
func (st *store) canonical(s Schema, normalize bool) (Schema, *apiError) {
	if s.Type == "" {
		s.Type = "AVRO"
	}
	invalid := func(err error) *apiError {
		return unprocessable(42201, "Invalid schema %s with refs %v of type %s, details: %v", s.Text, s.References, s.Type, err)
	}
	switch s.Type {
	case "AVRO", "JSON":
		text, err := compact(s.Text, normalize)
		if err != nil {
			return s, invalid(err)
		}
		s.Text = text
	case "PROTOBUF":
	default:
		return s, unprocessable(42201, "Invalid schema type %s", s.Type)
	}
	var cache avro.SchemaCache
	if bad := st.parseReferences(&cache, s); bad != nil {
		return s, bad
	}
	if s.Type == "AVRO" {
		if _, err := cache.Parse(s.Text); err != nil {
			return s, invalid(err)
		}
	}
	return s, nil
}

// parseReferences makes the named types of s's references known, the deepest first.
func (st *store) parseReferences(cache *avro.SchemaCache, s Schema) *apiError {
	for _, ref := range s.References {
		e, bad := st.version(ref.Subject, strconv.Itoa(ref.Version), true)
		if bad != nil {
			return unprocessable(42201, "Invalid schema: reference %s to version %d of subject %s: %s", ref.Name, ref.Version, ref.Subject, bad.message)
		}
		used := st.byID[e.id]
		if bad := st.parseReferences(cache, used); bad != nil {
			return bad
		}
		if used.Type != "AVRO" {
			continue
		}
		if _, err := cache.Parse(used.Text); err != nil {
			return unprocessable(42201, "Invalid schema: reference %s: %v", ref.Name, err)
		}
	}
	return nil
}

// compact drops white space, and with normalize orders members.
func compact(text string, normalize bool) (string, error) {
	if normalize {
		d := json.NewDecoder(bytes.NewReader([]byte(text)))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return "", err
		}
		out, err := json.Marshal(v)
		return string(out), err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		return "", err
	}
	return out.String(), nil
}

// register adds s to the subject; id 0 takes the content's own or a new one.
func (st *store) register(subject string, s Schema, id int, normalize bool) (Registered, *apiError) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s, bad := st.canonical(s, normalize)
	if bad != nil {
		return Registered{}, bad
	}
	content := s.content()
	if id == 0 {
		if e, known := st.find(subject, content, false); known {
			return st.registered(subject, e), nil
		}
		id = st.idOf(content)
	}
	if old, taken := st.byID[id]; taken && old.content() != content {
		return Registered{}, unprocessable(42207, "Overwrite new schema with id %d is not permitted.", id)
	}
	st.byID[id] = s
	st.lastID = max(st.lastID, id)
	if !slices.Contains(st.ids[content], id) {
		st.ids[content] = append(st.ids[content], id)
	}
	for i, e := range st.subjects[subject] { // the same id again: as it was, or back from a soft delete
		if e.id == id {
			st.subjects[subject][i].deleted = false
			return st.registered(subject, e), nil
		}
	}
	e := entry{version: 1, id: id}
	if all := st.subjects[subject]; len(all) > 0 {
		e.version = all[len(all)-1].version + 1
	}
	st.subjects[subject] = append(st.subjects[subject], e)
	return st.registered(subject, e), nil
}

// idOf is the id that content has or would get; mu is held.
func (st *store) idOf(content string) int {
	if ids := st.ids[content]; len(ids) > 0 {
		return ids[0]
	}
	return st.lastID + 1
}

// find looks for content among the versions of a subject; mu is held.
func (st *store) find(subject, content string, deleted bool) (entry, bool) {
	for _, e := range st.subjects[subject] {
		if st.byID[e.id].content() == content && (deleted || !e.deleted) {
			return e, true
		}
	}
	return entry{}, false
}

func (st *store) registered(subject string, e entry) Registered {
	s := st.byID[e.id]
	return Registered{Subject: subject, Version: e.version, ID: e.id, GUID: s.guid(), Schema: s.wire()}
}

// versions are those of a subject that exists; mu is held.
func (st *store) versions(subject string, deleted bool) ([]entry, *apiError) {
	var all []entry
	for _, e := range st.subjects[subject] {
		if deleted || !e.deleted {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, errNoSubject(subject)
	}
	return all, nil
}

// version finds one version by number or "latest" (-1 says the same); mu is held.
func (st *store) version(subject, version string, deleted bool) (entry, *apiError) {
	all, bad := st.versions(subject, deleted)
	if bad != nil {
		return entry{}, bad
	}
	n, err := strconv.Atoi(version)
	if version == "latest" || err == nil && n == -1 {
		return all[len(all)-1], nil
	}
	if err != nil || n < 1 {
		return entry{}, unprocessable(42202, "The specified version '%s' is not a valid version id. "+
			"Allowed values are between [1, 2^31-1] and the string \"latest\"", version)
	}
	for _, e := range all {
		if e.version == n {
			return e, nil
		}
	}
	return entry{}, errNoVersion(n)
}

// users are the subjects and versions that an id has, by subject; mu is held.
func (st *store) users(id int) []Registered {
	var all []Registered
	for _, subject := range slices.Sorted(maps.Keys(st.subjects)) {
		for _, e := range st.subjects[subject] {
			if e.id == id && !e.deleted {
				all = append(all, st.registered(subject, e))
			}
		}
	}
	return all
}

// remove deletes the matching versions of a subject, softly or (once softly deleted) for good.
func (st *store) remove(subject string, permanent bool, match func(entry) bool) {
	kept := st.subjects[subject][:0]
	for _, e := range st.subjects[subject] {
		if match(e) && permanent {
			continue
		}
		e.deleted = e.deleted || match(e)
		kept = append(kept, e)
	}
	st.subjects[subject] = kept
	if len(kept) == 0 {
		delete(st.subjects, subject)
	}
}
