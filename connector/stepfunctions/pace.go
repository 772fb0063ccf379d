package stepfunctions

import (
	"math"
	"time"
)

// What a throttled start changes.
const (
	paceCut     = 0.8              // what a throttled call leaves of the rate
	paceRegain  = 10 * time.Second // until the rate is back where it was cut
	paceForgive = 2 * time.Minute  // without a throttled call until the limit is gone
	paceLeast   = 1.0              // starts per second, however often AWS throttles
)

// pace is the rate of starts that AWS was seen to allow. The zero pace has no limit: AWS's buckets hold
// more than a second's worth, and how much is left of them only AWS knows. The first throttled call sets
// the rate to less than what was just used; each further one cuts it. It rises by itself: by the same
// amount each second until it is back where it was cut, and then ever faster (the step doubles every
// paceRegain), so that a rate that was cut too far, or by somebody else's burst, does not stay low.
//
// With a quota of r starts per second the rate swings between about 0.9 r and 1.1 r with a mean of r, since
// AWS's bucket refills while the rate is below r; one throttled call ends each swing.
type pace struct {
	base float64   // starts per second right after the last cut
	step float64   // by how much it rises each second at first
	cut  time.Time // the last cut; zero: no limit
}

// rate at a moment, in starts per second; 0 means no limit.
func (p *pace) rate(now time.Time) float64 {
	if p.cut.IsZero() {
		return 0
	}
	quiet := max(now.Sub(p.cut), 0)
	if quiet > paceForgive {
		return 0
	}
	whole, part := math.Modf(quiet.Seconds() / paceRegain.Seconds())
	doubled := math.Exp2(whole)
	return p.base + p.step*paceRegain.Seconds()*(doubled-1+doubled*part)
}

// throttled takes in that a call was throttled whose turn was asked for at asked, used being the starts of the last
// second. Turns that were given out before the last cut say nothing about the rate since. It reports whether the
// rate changed.
func (p *pace) throttled(now, asked time.Time, used float64) bool {
	if !p.cut.IsZero() && !asked.After(p.cut) {
		return false
	}
	rate := p.rate(now)
	if rate == 0 {
		rate = used
	}
	rate = max(rate, paceLeast)
	p.base = max(rate*paceCut, paceLeast)
	p.step = max(rate-p.base, rate*(1-paceCut)) / paceRegain.Seconds()
	p.cut = now
	return true
}

// lastSecond counts what happened within the last second, to within the evenness of the second before.
type lastSecond struct {
	from         time.Time // of the second under way
	count, prior float64
}

func (l *lastSecond) add(now time.Time) {
	l.turn(now)
	l.count++
}

func (l *lastSecond) value(now time.Time) float64 {
	l.turn(now)
	left := 1 - now.Sub(l.from).Seconds()
	return l.count + l.prior*left
}

func (l *lastSecond) turn(now time.Time) {
	switch passed := now.Sub(l.from); {
	case passed < time.Second:
	case passed < 2*time.Second:
		l.from, l.prior, l.count = l.from.Add(time.Second), l.count, 0
	default:
		l.from, l.prior, l.count = now, 0, 0
	}
}
