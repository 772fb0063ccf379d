package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
)

const (
	// groupInterval is how often the leader asks who is in the group.
	groupInterval = 500 * time.Millisecond
	// takeOverWait bounds one attempt to read to the end after taking office.
	takeOverWait = 10 * time.Second
	// publishWait bounds how long the answer to a write waits for the statuses that follow from it. A worker that
	// has just died publishes nothing, and the write holds anyhow.
	publishWait = 3 * time.Second
)

// leader is what the leading goroutine keeps between two rounds.
type leader struct {
	asked    time.Time // when the group was last asked
	peers    []Peer
	departed map[string]time.Time // members that left and are still waited for
	config   int64                // the last plan was made of
	replan   bool
}

// lead plans as long as this worker holds the office, until ctx ends.
func (h *Herder) lead(ctx context.Context) {
	l := leader{departed: map[string]time.Time{}}
	tick := time.NewTicker(groupInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		changed, moved := h.cluster.Membership.Changed(), h.view.changed()
		term, held := h.cluster.Membership.Office()
		if !held {
			h.view.setTerm(0)
			l, moved = leader{departed: map[string]time.Time{}}, nil
		} else if err := h.govern(ctx, &l, term); err != nil && ctx.Err() == nil {
			l.replan = true
			h.log.Warn("the leader could not plan; trying again", "error", err)
			moved = nil // not at once
		}
		select {
		case <-changed:
		case <-moved:
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	h.view.setTerm(0)
}

// govern is one round of leading: it takes office when the term is new, and appends a plan when the cluster or its
// connectors have changed.
func (h *Herder) govern(ctx context.Context, l *leader, term int64) error {
	if h.view.getTerm() != term {
		if err := h.takeOffice(ctx, term); err != nil {
			return err
		}
		l.replan = true
	}
	if err := h.repair(ctx, term); err != nil {
		return err
	}
	if time.Since(l.asked) >= groupInterval {
		peers, settled, err := h.cluster.Membership.Members(ctx)
		if err != nil {
			return fmt.Errorf("ask for the members of group %s: %w", h.cluster.Group, err)
		}
		if settled {
			l.peers = peers
		}
		l.asked, l.replan = time.Now(), true
	}
	s, current, config := h.view.planning()
	if config == l.config && !l.replan || len(l.peers) == 0 {
		return nil
	}
	members, processes := h.membersOf(l, current)
	next := ClusterPlan{
		Config: config, Group: h.cluster.Group, StatusTopic: h.cluster.StatusTopic, Leader: h.opts.WorkerID, Members: members, Processes: processes,
		Assignment: Plan(taskCounts(s), sortedKeys(members), current.Assignment),
	}
	if !next.says(current) {
		if err := h.appendPlan(ctx, term, next); err != nil {
			return err
		}
	}
	l.config, l.replan = config, false
	return h.bury(ctx)
}

// takeOffice reads to the end of what earlier leaders have written; only then may this one decide. Nothing can come
// after that end: the office began with the fencing of the earlier ones.
func (h *Herder) takeOffice(ctx context.Context, term int64) error {
	ctx, cancel := context.WithTimeout(ctx, takeOverWait)
	defer cancel()
	configEnd, err := h.opts.ConfigLog.End(ctx)
	if err != nil {
		return err
	}
	planEnd, err := h.cluster.PlanLog.End(ctx)
	if err != nil {
		return err
	}
	if err := h.view.await(ctx, func() bool { return h.view.config >= configEnd && h.view.plans >= planEnd }); err != nil {
		return fmt.Errorf("read what the leader before has written: %w", err)
	}
	h.view.setTerm(term)
	return nil
}

// repair writes again what foreign records have hidden in the config log.
func (h *Herder) repair(ctx context.Context, term int64) error {
	hidden := h.view.repairs()
	if len(hidden) == 0 {
		return nil
	}
	for _, e := range hidden {
		h.log.Warn("an entry of the config log was written over with what cannot be read; writing it again", "key", string(e.Key))
	}
	offset, err := h.cluster.Membership.Append(ctx, term, h.cluster.ConfigTopic, hidden...)
	if err != nil {
		return fmt.Errorf("write entries of the config log again: %w", err)
	}
	return h.view.await(ctx, func() bool { return h.view.config > offset })
}

// membersOf gives the members to plan for, with their URLs and processes: those of the group, and those that left less than
// scheduled.rebalance.max.delay.ms ago.
func (h *Herder) membersOf(l *leader, current ClusterPlan) (members, processes map[string]string) {
	members, processes = map[string]string{}, map[string]string{}
	for _, p := range l.peers {
		if u, ok := p.URL(); ok {
			_, process, _ := strings.Cut(p.ClientID, "#")
			members[workerOf(u)], processes[workerOf(u)] = u, process
			delete(l.departed, workerOf(u))
		}
	}
	if h.cluster.Delay <= 0 {
		return members, processes
	}
	now := time.Now()
	for id, u := range current.Members {
		if _, here := members[id]; here {
			continue
		}
		if _, known := l.departed[id]; !known {
			l.departed[id] = now
		}
		if now.Sub(l.departed[id]) < h.cluster.Delay {
			members[id] = u
			if process, ok := current.Processes[id]; ok {
				processes[id] = process
			}
		}
	}
	return members, processes
}

func (h *Herder) appendPlan(ctx context.Context, term int64, p ClusterPlan) error {
	e, err := planEntry(p)
	if err != nil {
		return err
	}
	offset, err := h.cluster.Membership.Append(ctx, term, h.cluster.PlanTopic, e)
	if err != nil {
		return fmt.Errorf("write a plan: %w", err)
	}
	h.log.Info("planned", "generation", offset, "members", sortedKeys(p.Members), "connectors", len(p.Connectors), "tasks", len(p.Tasks))
	return h.view.await(ctx, func() bool { return h.view.plans > offset })
}

// authority gives the term under which this worker may write; an *Elsewhere says who may.
func (h *Herder) authority() (term int64, err error) {
	if h.cluster == nil {
		return 0, nil
	}
	if term, held := h.cluster.Membership.Office(); held {
		if h.view.getTerm() == term {
			return term, nil
		}
		return 0, &Elsewhere{} // about to lead
	}
	p := h.view.getPlan()
	if p.Leader == h.opts.WorkerID {
		return 0, &Elsewhere{}
	}
	return 0, &Elsewhere{p.Members[p.Leader]}
}

// at gives nil when this worker is the one that a plan names, and else an *Elsewhere.
func (h *Herder) at(worker string) error {
	if h.cluster == nil || worker == h.opts.WorkerID {
		return nil
	}
	return &Elsewhere{h.view.getPlan().Members[worker]}
}

// appendConfig writes to the config log under a term, and finds out about a write whose outcome is open.
func (h *Herder) appendConfig(ctx context.Context, term int64, entries []store.Entry) (int64, error) {
	if h.cluster == nil {
		return h.opts.ConfigLog.Append(ctx, entries...)
	}
	offset, err := h.cluster.Membership.Append(ctx, term, h.cluster.ConfigTopic, entries...)
	var open *store.UnsettledError
	if !errors.As(err, &open) {
		return offset, err
	}
	h.log.Warn("the outcome of a write is not known; reading on to find out", "offset", open.Offset, "error", open.Err)
	if err := h.view.await(ctx, func() bool { return h.view.config > open.Offset }); err != nil {
		return 0, err
	}
	if !h.view.held(open.Offset) {
		return 0, store.ErrFenced
	}
	return open.Offset, nil
}

// awaitPublished waits, not for ever, until the statuses of a connector tell what was just written.
func (h *Herder) awaitPublished(ctx context.Context, name string) error {
	if err := h.bury(ctx); err != nil {
		return err
	}
	return h.awaitStatuses(ctx, name, func() bool { return published(h.view.state, h.view.plan, name) })
}

// awaitTouched waits, not for ever, until the workers that run a connector's tasks have spoken about them again.
func (h *Herder) awaitTouched(ctx context.Context, name string, keys []string, from int64) error {
	return h.awaitStatuses(ctx, name, func() bool {
		return !slices.ContainsFunc(keys, func(k string) bool { return h.view.touched[k] < from })
	})
}

func (h *Herder) awaitStatuses(ctx context.Context, name string, reached func() bool) error {
	bounded, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	err := h.view.await(bounded, reached)
	if err != nil && ctx.Err() == nil {
		h.log.Warn("statuses do not follow a write yet", "connector", name)
		return nil
	}
	return err
}

// published tells whether the statuses of a connector agree with its configuration, target and plan.
func published(s store.State, p ClusterPlan, name string) bool {
	own, ok := s.ConnectorStatus[name]
	if _, exists := s.Connectors[name]; !exists {
		return !ok
	}
	switch s.Target(name).State {
	case store.Stopped:
		return own.State == "STOPPED"
	case store.Paused:
		ok = ok && (own.State == "PAUSED" || own.State == "FAILED")
	default:
		ok = ok && (own.State == "RUNNING" || own.State == "FAILED")
	}
	for n := range taskCount(s, name) {
		id := TaskID{name, n}
		t, said := s.TaskStatus[store.TaskKey(id)]
		ok = ok && said && t.WorkerID == p.Tasks[id]
	}
	return ok
}

// Sync waits until this worker has read what was written to the cluster's logs before the call: after a write
// that another worker has served, the answers of this one tell it.
func (h *Herder) Sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	config, err := h.opts.ConfigLog.End(ctx)
	if err != nil {
		return err
	}
	status, err := h.opts.StatusLog.End(ctx)
	if err != nil {
		return err
	}
	return h.view.await(ctx, func() bool { return h.view.config >= config && h.view.status >= status })
}

// planChanged takes over what the plan log says: the newest plan counts.
func (h *Herder) planChanged(entries []store.Entry) {
	for _, e := range entries {
		p, err := readPlan(e)
		if err != nil {
			h.log.Warn("a plan cannot be read and is skipped", "error", err)
			continue
		}
		before := h.view.setPlan(p)
		if !maps.Equal(before.Members, p.Members) || before.Leader != p.Leader {
			h.log.Info("the cluster has changed", "generation", p.Generation, "leader", p.Leader, "members", sortedKeys(p.Members))
		}
	}
	h.apply()
	p := h.view.getPlan()
	h.opts.Metrics.Worker.Follows(metric.Cluster{LeaderURL: p.Members[p.Leader], Generation: p.Generation})
}

// join finds out whether this worker may be a member of the group, waits for what an earlier process of it may have left
// there, and is a member until ctx ends.
func (h *Herder) join(ctx context.Context) error {
	if err := h.view.await(ctx, func() bool { return h.view.caughtUp }); err != nil {
		return nil
	}
	var waiting time.Time
	for {
		peers, _, err := h.cluster.Membership.Members(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			var wait bool
			wait, err = h.mayJoin(ctx, peers, waiting)
			if err != nil {
				return err
			}
			if !wait {
				h.view.setAdmitted()
				h.apply()
				return h.cluster.Membership.Run(ctx)
			}
			if waiting.IsZero() {
				waiting = time.Now()
				h.Starting("waiting until the group drops the member at "+h.cluster.URL+", this worker's own URL, which does not answer", nil)
				h.log.Info("the group has a member with this worker's URL that does not answer; waiting until the group drops it", "url", h.cluster.URL)
			}
		} else {
			h.Starting("", err)
			h.log.Warn("the worker group cannot be asked yet; trying again", "group", h.cluster.Group, "error", err)
		}
		select {
		case <-time.After(groupInterval):
		case <-ctx.Done():
			return nil
		}
	}
}

// mayJoin judges the group's members; wait means to ask again.
func (h *Herder) mayJoin(ctx context.Context, peers []Peer, waiting time.Time) (wait bool, err error) {
	twin, err := admission(peers, h.cluster)
	if err != nil {
		return false, err
	}
	if err := foreign(h.view.getPlan(), h.cluster); err != nil {
		if alive := h.answers(ctx, h.view.getPlan()); alive {
			return false, err
		}
		h.log.Warn("taking over the topics of a cluster that does not answer", "because", err)
	}
	if twin == nil {
		return false, nil
	}
	nonce, err := h.cluster.NonceAt(ctx, h.cluster.URL)
	if err == nil && nonce != h.cluster.Nonce {
		return false, fmt.Errorf("the worker at %s is another process, which is a member of group %s from host %s already: give this one another rest.advertised.host.name or rest.advertised.port", h.cluster.URL, h.cluster.Group, twin.Host)
	}
	if !waiting.IsZero() && time.Since(waiting) > 2*h.cluster.Session+5*time.Second {
		return false, fmt.Errorf("a member of group %s on host %s advertises %s too, and lives: set listeners, rest.advertised.host.name and authentication, so that each worker has a URL that the others can reach", h.cluster.Group, twin.Host, h.cluster.URL)
	}
	return true, nil
}

// answers tells whether a worker of a plan does.
func (h *Herder) answers(ctx context.Context, p ClusterPlan) bool {
	for _, u := range p.Members {
		if nonce, err := h.cluster.NonceAt(ctx, u); err == nil && nonce != h.cluster.Nonce {
			return true
		}
	}
	return false
}
