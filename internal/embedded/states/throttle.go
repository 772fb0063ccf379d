package states

import (
	"sync"
	"time"
)

// Names of the token buckets.
const (
	LimitStartStandard   = "StartExecution"
	LimitStartExpress    = "StartExecution:EXPRESS" // asynchronous Express
	LimitStartSync       = "StartSyncExecution"
	LimitDescribeMachine = "DescribeStateMachine"
	LimitDescribe        = "DescribeExecution"
	LimitList            = "ListExecutions"
	LimitStop            = "StopExecution"
)

// Limit is a token bucket: so many calls at once, so many again each second.
type Limit struct {
	Bucket    float64 `json:"bucket"`
	PerSecond float64 `json:"per_second"`
}

// LimitsOf are the default quotas of a region, as of the developer guide of 2023-06 (the newest full
// table at hand; all are soft). StartSyncExecution and DescribeStateMachine are not in it.
func LimitsOf(region string) map[string]Limit {
	switch region {
	case "us-east-1", "us-west-2", "eu-west-1":
		return map[string]Limit{
			LimitStartStandard: {1300, 300}, LimitStartExpress: {6000, 6000},
			LimitDescribe: {300, 15}, LimitList: {200, 5}, LimitStop: {1000, 200},
		}
	}
	return map[string]Limit{
		LimitStartStandard: {800, 150}, LimitStartExpress: {6000, 6000},
		LimitDescribe: {250, 10}, LimitList: {100, 2}, LimitStop: {500, 25},
	}
}

// buckets are the token buckets of an endpoint.
type buckets struct {
	mu     sync.Mutex // guards byCall
	byCall map[string]*bucket
}

type bucket struct {
	Limit
	tokens float64
	at     time.Time // when tokens was true
}

// set replaces all limits; the buckets start full.
func (b *buckets) set(limits map[string]Limit, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byCall = make(map[string]*bucket, len(limits))
	for name, l := range limits {
		b.byCall[name] = &bucket{Limit: l, tokens: l.Bucket, at: now}
	}
}

// take spends a token of the named bucket, and is false when there is none.
func (b *buckets) take(name string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.byCall[name]
	if k == nil {
		return true
	}
	if passed := now.Sub(k.at); passed > 0 {
		k.tokens = min(k.Bucket, k.tokens+passed.Seconds()*k.PerSecond)
		k.at = now
	}
	if k.tokens < 1 {
		return false
	}
	k.tokens--
	return true
}
