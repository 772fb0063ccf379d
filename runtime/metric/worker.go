package metric

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepconnect/stepconnect/internal/histogram"
)

// Worker is what is measured of the worker itself.
type Worker struct {
	Connectors, Tasks Startups

	mu          sync.Mutex // guards the fields below
	build       Build
	files       func() map[string]int // nil: there are none
	cluster     *Cluster              // nil in standalone mode
	rebalanced  histogram.Histogram
	rebalances  recent
	rebalancing bool
	completed   int64
	last        time.Time
}

// Startups count the starts of connectors or tasks.
type Startups struct{ Succeeded, Failed atomic.Int64 }

// Build is the program and when it started.
type Build struct {
	Version, Commit, Go, WorkerID string
	Started                       time.Time
}

// Cluster is what this worker knows of its cluster.
type Cluster struct {
	LeaderURL  string
	Generation int64 // of the plan that it follows
}

// Built tells what runs.
func (w *Worker) Built(b Build) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.build = b
}

// Files tells who counts the files of connector.files.dir by state. count is called for each scrape; nil from it shows nothing.
func (w *Worker) Files(count func() map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files = count
}

// Follows tells the state of the cluster.
func (w *Worker) Follows(c Cluster) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cluster = &c
}

// Rebalancing tells that a new plan is being taken over.
func (w *Worker) Rebalancing() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rebalancing = true
}

// Rebalanced tells that this worker has taken over a new plan, and how long that took.
func (w *Worker) Rebalanced(took time.Duration) {
	w.rebalanced.Took(took)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rebalancing = false
	w.completed++
	w.last = time.Now()
}

func (w *Worker) sample() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rebalances.of = &w.rebalanced
	w.rebalances.sample()
}

// rate gives the parts of the starts that succeeded and that failed; 0 of none.
func (s *Startups) rate() (succeeded, failed float64) {
	ok, bad := float64(s.Succeeded.Load()), float64(s.Failed.Load())
	if ok+bad == 0 {
		return 0, 0
	}
	return ok / (ok + bad), bad / (ok + bad)
}
