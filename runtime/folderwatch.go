package runtime

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/runtime/store"
)

// orphanedLooks is how many looks in a row must miss a connector's file before it counts as removed: programs that
// write a file anew, git among them, may remove the old one first.
const orphanedLooks = 2

// folderWatch keeps the connectors as the files of a folder declare them, while this worker leads. Which file owns a
// connector is in the config log, so that a leader who comes after knows what a file had declared that is gone.
//
// It looks again and again instead of being told by the kernel (inotify): a ConfigMap is a link to a folder that is
// replaced as a whole, network file systems tell nothing, and a look at some dozen files costs less than finding out
// what an event meant (docs/adr/20261128-connector-files-are-polled.md).
type folderWatch struct {
	h        *Herder
	dir      string
	prune    bool
	interval time.Duration
	missed   map[string]int // connector to looks in a row without its file

	mu     sync.Mutex // guards report
	report ConnectorFiles
}

func newFolderWatch(h *Herder) *folderWatch {
	v := h.opts.Config.Values
	w := &folderWatch{h: h, dir: v.String("connector.files.dir"), prune: v.Bool("connector.files.prune"),
		interval: v.Duration("connector.files.interval.ms"), missed: map[string]int{}}
	w.report = w.empty()
	return w
}

func (w *folderWatch) empty() ConnectorFiles {
	return ConnectorFiles{Folder: w.dir, Prune: w.prune, Files: []ConnectorFileStatus{}}
}

// run watches until ctx ends.
func (w *folderWatch) run(ctx context.Context) {
	if w.dir == "" || w.h.view.await(ctx, func() bool { return w.h.view.ready }) != nil {
		return
	}
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		if _, err := w.h.authority(); err == nil {
			w.look(ctx)
		} else {
			clear(w.missed)
			w.publish(w.empty())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look is one comparison of the folder with the connectors.
func (w *folderWatch) look(ctx context.Context) {
	now := time.Now().UTC()
	found, err := readFolder(w.dir)
	if err != nil {
		// A mount that is not there is no folder without files: nothing is removed.
		before := w.get()
		before.ReadAt, before.Error = &now, err.Error()
		if w.publish(before).Error != before.Error {
			w.h.log.Warn("the folder of connector files cannot be read; connectors stay as they are", "error", err)
		}
		return
	}
	owners := w.h.view.get().Files
	found = withoutRivals(found, owners)
	next := w.empty()
	next.ReadAt = &now
	for _, d := range found {
		if d.err == nil {
			d.err = w.apply(ctx, d)
		}
		if ctx.Err() != nil || isElsewhere(d.err) {
			return
		}
		next.Files = append(next.Files, w.status(d, now))
	}
	w.publish(next)
	w.removeOrphans(ctx, orphans(found, owners))
}

func isElsewhere(err error) bool {
	var elsewhere *Elsewhere
	return errors.As(err, &elsewhere)
}

// status is a file's state, since when the last look found another one or none.
func (w *folderWatch) status(d declared, now time.Time) ConnectorFileStatus {
	st := ConnectorFileStatus{File: d.file, Connector: d.name, State: FileApplied, Since: now}
	if d.err != nil {
		st.State, st.Error = FileBroken, d.err.Error()
	}
	for _, was := range w.get().Files {
		if was.File == st.File && was.State == st.State && was.Error == st.Error && was.Connector == st.Connector {
			st.Since = was.Since
			return st
		}
	}
	if d.err != nil {
		w.h.log.Warn("a connector's file is broken; its connector, if it has one, stays as it is", "file", d.file, "connector", d.name, "error", d.err)
	}
	return st
}

// apply writes what a file declares, unless it is so already.
func (w *folderWatch) apply(ctx context.Context, d declared) error {
	what := ""
	_, _, err := w.h.update(ctx, func(s store.State) ([]store.Entry, error) {
		what = ""
		stored, exists := s.Connectors[d.name]
		owned := s.Files[d.name] == d.file
		if kept, _ := w.h.keepHidden(d.Request.Config, stored.Config); exists && owned && maps.EqualFunc(kept, stored.Config, equalText) {
			return nil, nil
		}
		checked, err := w.h.check(ctx, d.Request.Config, stored.Config)
		if err != nil {
			return nil, err
		}
		var entries []store.Entry
		if !owned {
			entries = append(entries, store.FileEntry(d.name, d.file))
			what = "a file owns the connector now"
		}
		if !exists {
			target, err := initialTarget(d.Request.InitialState)
			if err != nil {
				return nil, err
			}
			entries = append(entries, store.TargetEntry(d.name, target))
			what = "connector created from its file"
		}
		if !exists || !maps.EqualFunc(checked, stored.Config, equalText) {
			entries = append(entries, store.ConnectorEntry(d.name, checked))
			if exists {
				what = "connector configured from its file"
			}
		}
		return entries, nil
	})
	var refused *Error
	if err != nil && !isElsewhere(err) && errors.As(err, &refused) {
		if listed := w.h.Check(ctx, d.ConnectorFile); listed != nil {
			return inFolder(listed) // the same with the lines of the file
		}
		return errors.New(refused.Message)
	}
	if err == nil && what != "" {
		w.h.log.Info(what, "connector", d.name, "file", d.file)
	}
	return err
}

// removeOrphans deletes the connectors whose file is gone for good, or, without connector.files.prune, gives them to
// whoever uses the REST API.
func (w *folderWatch) removeOrphans(ctx context.Context, gone []string) {
	missed := map[string]int{}
	for _, name := range gone {
		if missed[name] = w.missed[name] + 1; missed[name] < orphanedLooks {
			continue
		}
		file := ""
		_, _, err := w.h.update(ctx, func(s store.State) ([]store.Entry, error) {
			file = s.Files[name]
			entries := []store.Entry{store.Tombstone(store.FileKey(name))}
			if _, exists := s.Connectors[name]; exists && w.prune {
				entries = append(deletion(s, name), entries...)
			}
			return entries, nil
		})
		switch {
		case err != nil && ctx.Err() == nil && !isElsewhere(err):
			w.h.log.Warn("a connector whose file is gone could not be removed; trying again", "connector", name, "error", err)
		case err == nil && w.prune:
			w.h.log.Info("connector deleted with its file", "connector", name, "file", file)
		case err == nil:
			w.h.log.Warn("the file of a connector is gone; the connector goes on and can be changed by REST (connector.files.prune=true would delete it)", "connector", name, "file", file)
		}
	}
	w.missed = missed
}

// publish replaces the report and gives the one before.
func (w *folderWatch) publish(next ConnectorFiles) (before ConnectorFiles) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, w.report = w.report, next
	return before
}

func (w *folderWatch) get() ConnectorFiles {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.report
}

// ConnectorFiles tells how the files of connector.files.dir stand. The leader answers.
func (h *Herder) ConnectorFiles(context.Context) (ConnectorFiles, error) {
	if _, err := h.authority(); err != nil {
		return ConnectorFiles{}, err
	}
	return h.folder.get(), nil
}

// unowned refuses a write of a configuration that a file owns. A leader that watches no folder knows of no owner:
// else nobody could release what a folder had declared that is not used any more.
func (h *Herder) unowned(s store.State, name string) error {
	file, owned := s.Files[name]
	if _, exists := s.Connectors[name]; !owned || !exists || h.folder.dir == "" {
		return nil
	}
	return Conflict("The configuration of connector %s is owned by the file %s of connector.files.dir: change it there. It can be paused, resumed, stopped and restarted here, and its offsets can be changed", name, file)
}

// counts gives the files by state in lower case; nil before the folder was read, and on workers that do not lead.
func (w *folderWatch) counts() map[string]int {
	r := w.get()
	if r.ReadAt == nil {
		return nil
	}
	counts := map[string]int{strings.ToLower(FileApplied): 0, strings.ToLower(FileBroken): 0}
	for _, f := range r.Files {
		counts[strings.ToLower(f.State)]++
	}
	if r.Error != "" {
		counts[strings.ToLower(FileBroken)]++ // the folder itself
	}
	return counts
}
