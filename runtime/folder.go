package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
)

// maxConnectorFile is the size, in bytes, above which a connector's file is refused: a record of the config topic
// is not larger by default.
const maxConnectorFile = 1 << 20

// ConnectorFiles answers GET /connector-files: what the leader knows of the folder connector.files.dir.
type ConnectorFiles struct {
	Folder string `json:"folder"` // "" when no folder is watched
	Prune  bool   `json:"prune"`
	// ReadAt is when the folder was looked at last, null before the first time.
	ReadAt *time.Time `json:"read_at"`
	// Error is why the folder itself cannot be read; nothing changes meanwhile.
	Error string                `json:"error,omitempty"`
	Files []ConnectorFileStatus `json:"files"`
}

// States of a connector's file.
const (
	FileApplied = "APPLIED" // the connector is as the file says
	FileBroken  = "BROKEN"  // it cannot be read or is invalid: its connector stays as it is
)

// ConnectorFileStatus is one file of the folder.
type ConnectorFileStatus struct {
	File      string    `json:"file"`
	Connector string    `json:"connector,omitempty"` // that it declares, as far as it can be read
	State     string    `json:"state"`
	Error     string    `json:"error,omitempty"`
	Since     time.Time `json:"since"` // of the state and the error
}

// declared is one file of a folder: the connector that it declares, or what is wrong with it.
type declared struct {
	file string // its name in the folder
	name string // of the connector
	*ConnectorFile
	err error
}

// readFolder reads all connector files of a folder, by name. Hidden files are not looked at, which leaves out what
// Kubernetes keeps beside the links of a ConfigMap, and editors beside their files; folders neither. An error is the
// folder's own; what is wrong with a file is in its entry.
func readFolder(dir string) ([]declared, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("connector.files.dir: %w", err)
	}
	var found []declared
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		switch filepath.Ext(e.Name()) {
		case ".json", ".properties":
			found = append(found, readDeclared(dir, e.Name()))
		case ".yaml", ".yml":
			found = append(found, declared{file: e.Name(), err: errors.New("connectors are declared in .json or .properties files; YAML is not read")})
		}
	}
	return found, nil
}

func readDeclared(dir, file string) declared {
	d := declared{file: file}
	path := filepath.Join(dir, file)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		d.err = err
		return d
	case !info.Mode().IsRegular():
		d.err = errors.New("it is no regular file")
		return d
	case info.Size() > maxConnectorFile:
		d.err = fmt.Errorf("it has %d bytes; a connector's configuration has at most %d", info.Size(), maxConnectorFile)
		return d
	}
	f, err := LoadConnectorFile(path)
	if err != nil {
		d.err = inFolder(err)
		return d
	}
	d.name = config.Trim(f.Request.Name)
	if d.name == "" {
		d.err = errors.New(`it names no connector: add the key "name"`)
		return d
	}
	cfg, err := named(d.name, f.Request.Config)
	if err == nil {
		_, err = initialTarget(f.Request.InitialState)
	}
	if err != nil {
		d.err = inFolder(f.Explain(err))
		return d
	}
	f.Request.Config = cfg
	d.ConnectorFile = f
	return d
}

// inFolder leaves the folder out of the problems of a file: who reads them knows it.
func inFolder(err error) error {
	var fe *FileError
	if errors.As(err, &fe) {
		return &FileError{Path: filepath.Base(fe.Path), Problems: fe.Problems}
	}
	return err
}

// CheckFolder judges all connector files of a folder without writing anything; it needs no running herder. The error
// lists every mistake, by file and line.
func (h *Herder) CheckFolder(ctx context.Context, dir string) error {
	found, err := readFolder(dir)
	if err != nil {
		return err
	}
	var problems []error
	for _, d := range withoutRivals(found, nil) {
		if d.err == nil {
			d.err = inFolder(h.Check(ctx, d.ConnectorFile))
		}
		var listed *FileError
		if d.err != nil && !errors.As(d.err, &listed) {
			d.err = fmt.Errorf("%s: %w", d.file, d.err)
		}
		problems = append(problems, d.err)
	}
	return errors.Join(problems...)
}

// withoutRivals lets one file declare a connector: the one that owns it, else the first by name. The others are
// broken.
func withoutRivals(found []declared, owners map[string]string) []declared {
	chosen := map[string]string{}
	for _, d := range found {
		if d.err != nil {
			continue
		}
		if _, taken := chosen[d.name]; !taken || owners[d.name] == d.file {
			chosen[d.name] = d.file
		}
	}
	out := slices.Clone(found)
	for i := range out {
		if d := &out[i]; d.err == nil && chosen[d.name] != d.file {
			d.err = fmt.Errorf("connector %s is declared in %s too, which counts; take it out of one of them", d.name, chosen[d.name])
		}
	}
	return out
}

// orphans gives the connectors whose file is gone, or declares another connector now. A file that is there and broken
// keeps its connector.
func orphans(found []declared, owners map[string]string) []string {
	var gone []string
	for _, name := range sortedKeys(owners) {
		if !slices.ContainsFunc(found, func(d declared) bool { return d.file == owners[name] && (d.err != nil || d.name == name) }) {
			gone = append(gone, name)
		}
	}
	return gone
}
