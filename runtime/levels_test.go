package runtime

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestALevelHoldsForALoggerAndAllBelowIt(t *testing.T) {
	l := NewLevels(slog.LevelInfo)
	var out bytes.Buffer
	log := l.Logger(LoggerTask, slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 4})).With("connector", "c")
	log.Debug("no")
	changed, err := l.Set("org.apache.kafka.connect.runtime", "debug")
	if err != nil || !slices.Contains(changed, LoggerTask) || slices.Contains(changed, LoggerClient) || !slices.IsSorted(changed) {
		t.Error(changed, err)
	}
	log.Debug("yes")
	if again, err := l.Set("org.apache.kafka.connect.runtime", "DEBUG"); err != nil || again == nil || len(again) != 0 {
		t.Error("setting the present level changes nothing:", again, err)
	}
	if _, err := l.Set("root", "off"); err != nil {
		t.Fatal(err)
	}
	log.Error("no")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "msg=yes connector=c") {
		t.Error(got)
	}
	got, err := l.Get("root")
	if err != nil || got.Level != "OFF" || got.LastModified == nil {
		t.Error(got, err)
	}
	if _, err := l.Get("nobody"); err == nil || err.Error() != "Logger nobody not found." {
		t.Error(err)
	}
	if got, err := l.Get("org.apache.kafka.connect"); err != nil || got.Level != "OFF" {
		t.Error("a parent of known loggers exists:", got, err)
	}
	_, err = l.Set("root", "LOUD")
	requireError(t, err, 404, "invalid log level 'LOUD'.")
}

func TestTraceAndFatalHaveAPlaceInSlogsLevels(t *testing.T) {
	l := NewLevels(slog.LevelInfo)
	h := l.Logger("x", slog.DiscardHandler).Handler()
	for level, want := range map[string]slog.Level{"TRACE": slog.LevelDebug - 4, "ALL": slog.LevelDebug - 4, "WARN": slog.LevelWarn, "FATAL": slog.LevelError} {
		if _, err := l.Set("x", level); err != nil || !h.Enabled(context.Background(), want) || h.Enabled(context.Background(), want-1) {
			t.Error(level, err)
		}
	}
}
