package task

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

func TestARecordThatWaitsForItsConverterIsShownAndHealsByItself(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	try(t, func(r *trial) {
		r.cfg.Settings.ErrorRetryTimeout, r.cfg.Settings.ErrorRetryDelayMax = -1, time.Second
		r.cfg.Pipeline.Value.Converter = textConverter{fail: func([]byte) error {
			if down.Load() {
				return connector.Retryable(errors.New("registry is down"))
			}
			return nil
		}}
		for range 4 {
			r.group.append(part0, "k", 0)
		}
	}, func(r *trial) {
		settle(30 * time.Second)
		s, err := r.task.Snapshot(r.Context())
		if err != nil || !strings.Contains(s.Warning, "offset 0") || !strings.Contains(s.Warning, "VALUE_CONVERTER: registry is down") {
			r.Errorf("warning %q does not say what waits (%v)", s.Warning, err)
		}
		if w := s.Partitions[0].Waiting; w == nil || w.Attempts < 10 || string(w.Key) != "k" {
			r.Errorf("waiting: %+v", w)
		}
		down.Store(false)
		settle(5 * time.Second)
		if at := r.committed(part0); at != 4 {
			r.Errorf("committed %d after the registry came back, want 4", at)
		}
		if s, err = r.task.Snapshot(r.Context()); err != nil || s.Warning != "" {
			r.Errorf("warning %q once all is well (%v)", s.Warning, err)
		}
	})
}
