package stepfunctions

import (
	"sync"

	"golang.org/x/time/rate"
)

// pool is what the tasks of a connector in one process may start together. Each brings its share of start.rate.limit,
// and what one does not use another takes, in the order of asking. Shares of other processes are not borrowed: nobody here
// knows whether they are in use, and all borrowing at once would break the limit (docs/adr, "start budget").
type pool struct {
	total *rate.Limiter

	mu      sync.Mutex // guards the rest
	limit   float64    // start.rate.limit, of the whole connector, as the newest task knows it; 0 for none
	members map[*budgets]bool
	lines   map[quota]*line
}

// line is the queue for one quota, with what AWS was seen to allow.
type line struct {
	turns *rate.Limiter

	mu   sync.Mutex // guards the rest
	pace pace
	used lastSecond
}

func newPool() *pool {
	return &pool{total: rate.NewLimiter(rate.Inf, 1), members: map[*budgets]bool{}, lines: map[quota]*line{}}
}

func (p *pool) join(b *budgets, limit float64) {
	if limit > 0 {
		b.share() // tells the host that somebody wants to know
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members[b], p.limit = true, limit
}

func (p *pool) leave(b *budgets) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.members, b)
}

func (p *pool) line(q quota) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines[q] == nil {
		p.lines[q] = &line{turns: rate.NewLimiter(rate.Inf, 1)}
	}
	return p.lines[q]
}

// allowance is what the pool may start now by start.rate.limit, in starts per second, 0 without a limit; and the part of
// the pool that is b's, from 0 to 1. Tasks without partitions have nothing to start and get the least.
func (p *pool) allowance(b *budgets) (perSecond, part float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own, all := 0.0, 0.0
	for m := range p.members {
		share := min(max(m.share(), 0), 1)
		all += share
		if m == b {
			own = share
		}
	}
	if part = 1 / float64(max(1, len(p.members))); all > 0 {
		part = own / all
	}
	if p.limit == 0 {
		return 0, part
	}
	return max(p.limit*min(all, 1), leastAllowance), part
}

// leastAllowance keeps a small share of a small limit from waiting for ever, in starts per second.
const leastAllowance = 0.01
