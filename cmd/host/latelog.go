package host

import (
	"context"

	"github.com/stepconnect/stepconnect/runtime/store"
)

// lateLog is a log that is opened while the worker answers requests already: brokers may be down for long, and
// somebody has to be able to ask why. Its calls wait for it.
type lateLog struct {
	opened chan struct{}
	log    store.Log // once opened is closed
}

func newLateLog() *lateLog { return &lateLog{opened: make(chan struct{})} }

// open gives the log to all who wait; it is called once.
func (l *lateLog) open(log store.Log) {
	l.log = log
	close(l.opened)
}

func (l *lateLog) await(ctx context.Context) (store.Log, error) {
	select {
	case <-l.opened:
		return l.log, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Append implements store.Log.
func (l *lateLog) Append(ctx context.Context, entries ...store.Entry) (int64, error) {
	log, err := l.await(ctx)
	if err != nil {
		return 0, err
	}
	return log.Append(ctx, entries...)
}

// Read implements store.Log.
func (l *lateLog) Read(ctx context.Context, from int64) ([]store.Entry, int64, error) {
	log, err := l.await(ctx)
	if err != nil {
		return nil, from, err
	}
	return log.Read(ctx, from)
}

// End implements store.Log.
func (l *lateLog) End(ctx context.Context) (int64, error) {
	log, err := l.await(ctx)
	if err != nil {
		return 0, err
	}
	return log.End(ctx)
}
