package runtime

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// incarnation is one start of a task, from the reading of its configuration to its end. A failed task is
// one that has not ended: it keeps its group membership until it is told to stop.
type incarnation struct {
	id      TaskID
	want    DesiredTask // as it was started for
	demand  int         // of the slot when it was started
	metrics *metric.Task

	values      atomic.Pointer[heldValues]     // nil unless some expire
	made        atomic.Pointer[task.Task]      // nil until its configuration has been read
	sink        atomic.Pointer[connector.Sink] // nil until it is open
	source      atomic.Pointer[watchedSource]  // nil until it joins its group
	stop, abort context.CancelFunc

	// Of Worker.Run's goroutine.
	counted bool // its start was counted, as a success or a failure
	told    bool // to stop
	over    bool // run has returned
	state   task.State
	err     error
	since   time.Time // of state
	policy  restartPolicy
	warning string // what keeps it although it looks well
	refused string // why the policy does not start it anew
}

// named tells whether the destination may remember the names of the task's deliveries.
func (inc *incarnation) named() bool {
	sink := inc.sink.Load()
	if sink == nil {
		return false
	}
	n, ok := (*sink).(connector.Named)
	return ok && n.Named()
}

// halt tells it to end orderly.
func (inc *incarnation) halt() {
	inc.told = true
	inc.stop()
}

// ranWell tells whether it has run for longer than the longest wait between restarts: what fails it next
// is counted anew.
func (inc *incarnation) ranWell(now time.Time) bool {
	return inc.state == task.Running && now.Sub(inc.since) > inc.policy.cap
}

// run builds the task and runs it until stop or abort ends. What fails before there is a task fails the
// incarnation.
func (inc *incarnation) run(stop, abort context.Context, w *Worker) (err error) {
	t, policy, ended, err := w.build(stop, inc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ended()) }()
	t.SetPaused(inc.want.Paused)
	inc.made.Store(t)
	w.post(began{inc, policy})
	measuring, measured := context.WithCancel(stop)
	var measure sync.WaitGroup
	measure.Go(func() { inc.measure(measuring, t) })
	defer func() {
		measured()
		measure.Wait()
		inc.metrics.Holds(nil)
		inc.metrics.Trouble(false)
	}()
	return t.Run(stop, abort)
}
