package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// replayFile is what offset.storage.file.filename holds.
type replayFile struct {
	Format  string                     `json:"format"`
	Entries map[string]json.RawMessage `json:"entries"`
}

const replayFormat = "stepconnect-replay-1"

// readReplayFile gives the entries of the file at path, none when it does not exist or is empty.
func readReplayFile(path string) ([]Entry, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("offset.storage.file.filename: %w", err)
	}
	var f replayFile
	if err := json.Unmarshal(b, &f); err != nil || f.Format != replayFormat {
		return nil, fmt.Errorf("offset.storage.file.filename: %s was not written by stepconnect (Kafka Connect keeps source offsets in such a file): name another file", path)
	}
	var entries []Entry
	for k, v := range f.Entries {
		entries = append(entries, Entry{Key: []byte(k), Value: v})
	}
	return entries, nil
}

// writeReplayFile replaces the file at path by one that holds entries; after a crash at any moment
// the old or the new one is there, whole.
func writeReplayFile(path string, entries []Entry) (err error) {
	f := replayFile{Format: replayFormat, Entries: make(map[string]json.RawMessage, len(entries))}
	for _, e := range entries {
		f.Entries[string(e.Key)] = e.Value
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("offset.storage.file.filename: %w", err)
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("offset.storage.file.filename: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("offset.storage.file.filename: %w", errors.Join(err, os.Remove(tmp.Name())))
		}
	}()
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	// Without this the rename itself may be lost with the power.
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
