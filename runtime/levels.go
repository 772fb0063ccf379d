package runtime

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
)

// Names of the worker's loggers. They are those of Kafka Connect's classes with the same task, so that
// the levels which an operator's tools set mean the same here.
const (
	LoggerRoot   = "root"
	LoggerWorker = "org.apache.kafka.connect.runtime.Worker"
	LoggerHerder = "org.apache.kafka.connect.runtime.Herder"
	LoggerTask   = "org.apache.kafka.connect.runtime.WorkerSinkTask"
	LoggerRest   = "org.apache.kafka.connect.runtime.rest"
	LoggerStore  = "org.apache.kafka.connect.storage"
	LoggerClient = "org.apache.kafka.clients"
)

// levelOff is above everything that is logged.
const levelOff = slog.Level(100)

// levels are log4j2's names; slog has fewer.
func slogLevel(name string) (slog.Level, bool) {
	switch name {
	case "OFF":
		return levelOff, true
	case "FATAL", "ERROR":
		return slog.LevelError, true
	case "WARN":
		return slog.LevelWarn, true
	case "INFO":
		return slog.LevelInfo, true
	case "DEBUG":
		return slog.LevelDebug, true
	case "TRACE", "ALL":
		return slog.LevelDebug - 4, true
	}
	return 0, false
}

// Levels holds the level of each logger of this worker, and answers GET and PUT /admin/loggers. A
// logger without a level of its own has that of the nearest parent by dots, last of root.
type Levels struct {
	set atomic.Pointer[map[string]loggerLevel]
	mu  sync.Mutex // serialises changes
	now func() time.Time
}

type loggerLevel struct {
	name     string // as log4j2 spells it
	level    slog.Level
	modified time.Time // zero when never changed
}

// NewLevels makes the registry with root at level.
func NewLevels(root slog.Level) *Levels {
	l := &Levels{now: time.Now}
	name := root.String()
	if _, ok := slogLevel(name); !ok {
		name = "INFO"
	}
	l.set.Store(&map[string]loggerLevel{LoggerRoot: {name: name, level: root}})
	return l
}

// Logger gives a logger of that name, which writes to next what its level lets through. next should let
// everything pass.
func (l *Levels) Logger(name string, next slog.Handler) *slog.Logger {
	return slog.New(levelHandler{l, name, next})
}

type levelHandler struct {
	levels *Levels
	name   string
	slog.Handler
}

func (h levelHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= effective(*h.levels.set.Load(), h.name).level
}

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

func effective(set map[string]loggerLevel, name string) loggerLevel {
	for {
		if l, ok := set[name]; ok {
			return l
		}
		i := strings.LastIndexByte(name, '.')
		if i < 0 {
			return set[LoggerRoot]
		}
		name = name[:i]
	}
}

func knownLoggers() []string {
	return []string{LoggerRoot, LoggerWorker, LoggerHerder, LoggerTask, LoggerRest, LoggerStore, LoggerClient}
}

// All gives root and the loggers whose level was set.
func (l *Levels) All() map[string]LoggerLevel {
	all := map[string]LoggerLevel{}
	for name, level := range *l.set.Load() {
		all[name] = level.answer()
	}
	return all
}

// Get gives the effective level of a logger that exists or was set. The error is a 404 *Error.
func (l *Levels) Get(name string) (LoggerLevel, error) {
	if strings.EqualFold(name, LoggerRoot) {
		name = LoggerRoot
	}
	set := *l.set.Load()
	_, isSet := set[name]
	under := func(known string) bool { return known == name || strings.HasPrefix(known, name+".") }
	if !isSet && !slices.ContainsFunc(knownLoggers(), under) {
		return LoggerLevel{}, NotFound("Logger %s not found.", name)
	}
	return effective(set, name).answer(), nil
}

func (l loggerLevel) answer() LoggerLevel {
	a := LoggerLevel{Level: l.name}
	if !l.modified.IsZero() {
		ms := l.modified.UnixMilli()
		a.LastModified = &ms
	}
	return a
}

// Set gives a logger and all below it a level, of log4j2's names in any case. It returns the names of the
// loggers that changed, sorted. The error is a 404 *Error for an unknown level.
func (l *Levels) Set(name, level string) ([]string, error) {
	parsed, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := *l.set.Load()
	set := maps.Clone(before)
	parsed.modified = l.now()
	changed := []string{}
	affected := map[string]bool{name: true}
	for _, known := range slices.Concat(knownLoggers(), slices.Collect(maps.Keys(set))) {
		if name == LoggerRoot || strings.HasPrefix(known, name+".") {
			affected[known] = true
		}
	}
	for _, n := range sortedKeys(affected) {
		if effective(before, n).name == parsed.name {
			if _, own := set[n]; !own && n == name {
				set[n] = loggerLevel{name: parsed.name, level: parsed.level} // listed from now on, but not modified
			}
			continue
		}
		set[n] = parsed
		changed = append(changed, n)
	}
	l.set.Store(&set)
	return changed, nil
}

func parseLevel(level string) (loggerLevel, error) {
	name := strings.ToUpper(config.Trim(level))
	parsed, ok := slogLevel(name)
	if !ok {
		return loggerLevel{}, &Error{Status: http.StatusNotFound, Message: "invalid log level '" + level + "'."}
	}
	return loggerLevel{name: name, level: parsed}, nil
}
