package runtime

import (
	"context"
	"strings"
	"time"
)

const (
	// handOverWait bounds how long a worker that leaves waits for the plan without it.
	handOverWait = 10 * time.Second
	// heirWait bounds how long its tasks wait for those that take their place to join their groups.
	heirWait = 3 * time.Second
)

// handOver lets the others take over while everything still runs here: this worker leaves the group, goes on with what it had
// until the others have a plan without it and their tasks have joined, and only then follows that plan. A consumer group whose last
// member goes before the next one comes makes that one wait, for 3 s with the brokers' own settings
// (group.initial.rebalance.delay.ms), and nothing of its connector is delivered meanwhile.
func (h *Herder) handOver(ctx context.Context, leave func()) {
	p := h.view.getPlan()
	if _, member := p.Members[h.opts.WorkerID]; !member || len(p.Members) < 2 || h.cluster.Delay > 0 {
		return // to nobody, or this worker's tasks wait for it to come back
	}
	h.keep(&p.Assignment)
	leave()
	if h.handedOver(ctx) {
		h.awaitHeirs(ctx, p)
	}
	h.keep(nil)
}

// keep makes the worker follow an assignment instead of the plans; nil ends that.
func (h *Herder) keep(a *Assignment) {
	h.applying.Lock()
	h.kept = a
	h.applying.Unlock()
	h.apply()
}

// handedOver waits, not for ever, until the others have a plan without this worker; false without one.
func (h *Herder) handedOver(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, handOverWait)
	defer cancel()
	for ctx.Err() == nil {
		bounded, stop := context.WithTimeout(ctx, groupInterval)
		err := h.view.await(bounded, func() bool { _, in := h.view.plan.Members[h.opts.WorkerID]; return !in })
		stop()
		if err == nil {
			return true
		}
		if peers, settled, err := h.cluster.Membership.Members(ctx); err == nil && settled && len(peers) == 0 {
			return false // they leave as well
		}
	}
	h.log.Warn("the other workers have not planned without this one yet")
	return false
}

// awaitHeirs waits, not for ever, until the consumer groups that have members on this worker alone have others. The plan is the
// one by which this worker runs its tasks.
func (h *Herder) awaitHeirs(ctx context.Context, p ClusterPlan) {
	ctx, cancel := context.WithTimeout(ctx, heirWait)
	defer cancel()
	alone := h.groupsOf(p)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		for group, own := range alone {
			// What cannot be asked is not waited for.
			if members, err := h.cluster.GroupMembers(ctx, group); err != nil || members > own {
				delete(alone, group)
			}
		}
		if len(alone) == 0 || ctx.Err() != nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

// groupsOf gives the consumer groups all of whose members are tasks of this worker, and how many they are. Groups on other Kafka
// clusters are left out.
func (h *Herder) groupsOf(p ClusterPlan) map[string]int {
	s := h.view.get()
	elsewhere, groups := map[string]bool{}, map[string]int{}
	for id, owner := range p.Tasks {
		cfg := withoutNulls(s.Connectors[id.Connector].Config)
		group := clientProps{worker: h.opts.Config.Raw, connector: cfg, name: id.Connector}.group()
		_, away := cfg["consumer.override.bootstrap.servers"]
		groups[group]++
		elsewhere[group] = elsewhere[group] || away || owner != h.opts.WorkerID || strings.Contains(group, "${")
	}
	for group := range elsewhere {
		if elsewhere[group] {
			delete(groups, group)
		}
	}
	return groups
}
