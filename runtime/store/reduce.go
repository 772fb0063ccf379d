package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"
)

// Warning says that an entry could not be read. Its key counts as absent from then on.
type Warning struct {
	Key    string
	Offset int64
	Cause  error
}

// Error names the offset, the key (shortened) and the cause.
func (w *Warning) Error() string {
	key := w.Key
	if len(key) > 200 {
		key = key[:200] + "…"
	}
	return fmt.Sprintf("entry at offset %d with key %q cannot be read and is skipped: %v", w.Offset, key, w.Cause)
}

// Unwrap gives the cause.
func (w *Warning) Unwrap() error { return w.Cause }

// Reduce applies one entry to s, which stays as it is. The error is nil or a *Warning.
func Reduce(s State, e Entry) (State, error) {
	next, warnings := Fold(s, []Entry{e})
	if len(warnings) > 0 {
		return next, warnings[0]
	}
	return next, nil
}

// Fold applies entries in order; it copies each map of the State at most once, however many
// entries touch it.
func Fold(s State, entries []Entry) (State, []*Warning) {
	f := fold{State: s}
	var warnings []*Warning
	for _, e := range entries {
		if err := f.apply(e); err != nil {
			warnings = append(warnings, &Warning{Key: string(e.Key), Offset: e.Offset, Cause: err})
		}
	}
	return f.State, warnings
}

// fold is a State under construction: a map with its bit set in own is not shared with another State.
type fold struct {
	State
	own uint16
}

// set puts v at k of *m, or removes k when v is nil, copying the map on the first change.
func set[K comparable, V any](f *fold, bit uint, m *map[K]V, k K, v *V) {
	if v == nil {
		if _, ok := (*m)[k]; !ok {
			return
		}
	}
	if f.own&(1<<bit) == 0 {
		f.own |= 1 << bit
		if *m = maps.Clone(*m); *m == nil {
			*m = make(map[K]V)
		}
	}
	if v == nil {
		delete(*m, k)
		return
	}
	(*m)[k] = *v
}

// apply finds what kind of entry e is by its key. Whatever it finds, an entry of one key only ever
// touches that key.
func (f *fold) apply(e Entry) error {
	if !utf8.Valid(e.Key) {
		return errors.New("the key is not UTF-8")
	}
	key := string(e.Key)
	if key == keySession {
		return nil
	}
	for _, p := range foreignPrefixes {
		if strings.HasPrefix(key, p) {
			return nil
		}
	}
	prefix, rest := split(key)
	if prefix == "" {
		return errors.New("no known kind of entry has such a key")
	}
	if rest == "" {
		return errors.New("the key names nothing")
	}
	switch prefix {
	case prefixConnector:
		v, err := decode(e, func(j *connectorJSON) (Connector, error) { return j.value(e.Offset) })
		set(f, 0, &f.Connectors, rest, v)
		return err
	case prefixTarget:
		v, err := decode(e, (*targetJSON).value)
		set(f, 1, &f.Targets, rest, v)
		return err
	case prefixRestart:
		v, err := decode(e, func(j *restartJSON) (Restart, error) { return j.value(e.Offset) })
		set(f, 2, &f.Restarts, rest, v)
		return err
	case prefixLogger:
		v, err := decode(e, func(j *loggerJSON) (Logger, error) { return j.value(e.Offset) })
		set(f, 3, &f.Loggers, rest, v)
		return err
	case prefixReplay:
		v, err := decode(e, (*replayJSON).value)
		set(f, 4, &f.Replays, rest, v)
		return err
	case prefixFile:
		v, err := decode(e, (*fileJSON).value)
		set(f, 8, &f.Files, rest, v)
		return err
	case prefixAdopted:
		k, err := parseAdoptionKey(rest)
		if err != nil {
			return err
		}
		v, err := decode(e, (*adoptionJSON).value)
		set(f, 12, &f.Adoptions, k, v)
		return err
	case prefixDeadLetters:
		v, err := decode(e, (*deadLettersJSON).value)
		set(f, 10, &f.DeadLetters, rest, v)
		return err
	}
	return f.applyStatus(prefix, rest, e)
}

func (f *fold) applyStatus(prefix, rest string, e Entry) error {
	switch prefix {
	case prefixConnectorStatus:
		v, err := decode(e, (*statusJSON).value)
		set(f, 5, &f.ConnectorStatus, rest, v)
		return err
	case prefixTaskStatus:
		k, err := parseTaskKey(rest)
		if err != nil {
			return err
		}
		v, err := decode(e, (*statusJSON).value)
		set(f, 6, &f.TaskStatus, k, v)
		return err
	case prefixLetterStatus:
		v, err := decode(e, (*DeadLetterProgress).value)
		set(f, 9, &f.LetterProgress, rest, v)
		return err
	default:
		k, err := parseTopicKey(rest)
		if err != nil {
			return err
		}
		v, err := decode(e, (*topicStatusJSON).value)
		set(f, 7, &f.Topics, k, v)
		return err
	}
}

func split(key string) (prefix, rest string) {
	for _, p := range [...]string{prefixConnector, prefixTarget, prefixRestart, prefixLogger, prefixReplay, prefixFile, prefixAdopted, prefixDeadLetters,
		prefixConnectorStatus, prefixTaskStatus, prefixTopicStatus, prefixLetterStatus} {
		if rest, ok := strings.CutPrefix(key, p); ok {
			return p, rest
		}
	}
	return "", ""
}

// decode reads e's value as J and gives what value makes of it: nil for a tombstone or an error.
func decode[J, V any](e Entry, value func(*J) (V, error)) (*V, error) {
	if e.Value == nil {
		return nil, nil
	}
	if !utf8.Valid(e.Value) {
		return nil, errors.New("the value is not UTF-8")
	}
	if trimmed := bytes.TrimSpace(e.Value); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, errors.New("the value is not a JSON object")
	}
	var j J
	if err := json.Unmarshal(e.Value, &j); err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	v, err := value(&j)
	if err != nil {
		return nil, err
	}
	return &v, nil
}
