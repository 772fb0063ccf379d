package stepfunctions

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stepconnect/stepconnect/connector/debezium"
)

// filterReason says why a record starts nothing; it is the label of the filtered counter.
type filterReason uint8

const (
	notFiltered filterReason = iota
	filteredTombstone
	filteredTopic     // no domain takes the topic
	filteredTable     // domains take the topic, none of them the table
	filteredOperation // domains take the table, none of them the operation
	numFilterReasons
)

var filterReasonNames = [numFilterReasons]string{"", "tombstone", "topic", "table", "operation"}

// rule says what a domain takes.
type rule struct {
	topics     map[string]bool // nil: every topic
	tables     []tablePattern  // nil: every table
	operations [debezium.NumOperations]bool
}

// tablePattern is "schema.table" or "database.schema.table" in lower case, the parts with the
// wildcards * and ?: SQL Server's default collations compare names without regard to case.
type tablePattern struct{ database, schema, table string }

func parseTablePattern(text string) (tablePattern, error) {
	part := strings.Split(strings.ToLower(text), ".")
	for _, p := range part {
		if p == "" {
			return tablePattern{}, fmt.Errorf("%q has an empty part", text)
		}
		if _, err := path.Match(p, ""); err != nil {
			return tablePattern{}, fmt.Errorf("%q: %w", text, err)
		}
	}
	switch len(part) {
	case 2:
		return tablePattern{"*", part[0], part[1]}, nil
	case 3:
		return tablePattern{part[0], part[1], part[2]}, nil
	}
	return tablePattern{}, errors.New(text + " is neither schema.table nor database.schema.table")
}

func (p tablePattern) matches(k routeKey) bool {
	return match(p.database, k.database) && match(p.schema, k.schema) && match(p.table, k.table)
}

func match(pattern, name string) bool {
	ok, err := path.Match(pattern, strings.ToLower(strings.ReplaceAll(name, "/", "_")))
	return ok && err == nil
}

// routeKey is what a route is decided by, besides the operation.
type routeKey struct{ topic, database, schema, table string }

// decision is where a change goes: to a domain, or nowhere for a reason.
type decision struct {
	domain *domain
	reason filterReason
}

type decisions [debezium.NumOperations]decision

// maxRoutes bounds the cache of routes; beyond it they are decided anew for each change.
const maxRoutes = 4096

// router finds the domain of a change. The first domain, in the order of the configuration,
// whose topics, tables and operations all take the change gets it; else fallback, if its
// operations take it; else the change is filtered.
type router struct {
	domains  []*domain
	fallback *domain // nil for none

	cache atomic.Pointer[map[routeKey]*decisions] // copied on write
	mu    sync.Mutex                              // held by the writer of cache
}

// route decides by the topic as transforms left it and by the change's own table.
func (r *router) route(topic string, c *debezium.Change) decision {
	k := routeKey{topic, c.Database, c.Schema, c.Table}
	if known := r.cache.Load(); known != nil {
		if d := (*known)[k]; d != nil {
			return d[c.Operation]
		}
	}
	d := r.decide(k)
	r.remember(k, d)
	return d[c.Operation]
}

func (r *router) decide(k routeKey) *decisions {
	var all decisions
	for op := debezium.Insert; int(op) < debezium.NumOperations; op++ {
		all[op] = r.first(k, op)
	}
	return &all
}

func (r *router) first(k routeKey, op debezium.Operation) decision {
	reason := filteredTopic
	for _, d := range r.domains {
		if d == r.fallback {
			continue
		}
		why := d.rule.takes(k, op)
		if why == notFiltered {
			return decision{domain: d}
		}
		reason = max(reason, why)
	}
	if r.fallback == nil {
		return decision{reason: reason}
	}
	if !r.fallback.rule.operations[op] {
		return decision{reason: filteredOperation}
	}
	return decision{domain: r.fallback}
}

// takes gives the first part of the rule that refuses, in the order topic, table, operation.
func (r *rule) takes(k routeKey, op debezium.Operation) filterReason {
	if r.topics != nil && !r.topics[k.topic] {
		return filteredTopic
	}
	if r.tables != nil && !r.takesTable(k) {
		return filteredTable
	}
	if !r.operations[op] {
		return filteredOperation
	}
	return notFiltered
}

func (r *rule) takesTable(k routeKey) bool {
	for _, p := range r.tables {
		if p.matches(k) {
			return true
		}
	}
	return false
}

func (r *router) remember(k routeKey, d *decisions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[routeKey]*decisions{}
	if known := r.cache.Load(); known != nil {
		if len(*known) >= maxRoutes {
			return
		}
		next = maps.Clone(*known)
	}
	// The change's strings share one allocation: keep copies of the parts only.
	next[routeKey{strings.Clone(k.topic), strings.Clone(k.database), strings.Clone(k.schema), strings.Clone(k.table)}] = d
	r.cache.Store(&next)
}
