package stepfunctions

import (
	"fmt"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

// maxInput is the most bytes that the input of an execution can have (Step Functions quotas).
// It is measured as a JSON string literal, because a state that passes the changes on as text
// escapes them once more.
const maxInput = 262144

// prepared is what Cut leaves for Deliver: one change, encoded. It belongs to the record from
// Cut until Deliver has delivered it, and then to the sink's shelf; a record that the host drops
// in between takes it along to the garbage collector.
type prepared struct {
	domain  *domain
	literal []byte // the change's JSON text as it stands inside a JSON string literal
	commit  int64  // in the source database, in milliseconds since 1970
	name    string // of the execution, with execution.name=change; "" leaves it to Name
	claims  []claim
	done    int // how many of claims are stored
}

func (p *prepared) stored() bool { return p.done == len(p.claims) }

func (s *Sink) release(records []*connector.Record) {
	for _, r := range records {
		if p, ok := r.Prepared.(*prepared); ok {
			r.Prepared = nil
			s.shelf.release(p)
		}
	}
}

// prepare parses, routes and encodes one record. It gives nil for a record that is filtered.
func (s *Sink) prepare(r *connector.Record) (*prepared, filterReason, error) {
	if p, ok := r.Prepared.(*prepared); ok {
		return p, notFiltered, nil
	}
	c, err := s.parser.Parse(r)
	if err != nil {
		return nil, notFiltered, err
	}
	if c.Operation == debezium.Tombstone {
		return nil, filteredTombstone, nil
	}
	to := s.router.route(r.Topic, &c)
	if to.domain == nil {
		return nil, to.reason, nil
	}
	draft := s.shelf.draft()
	defer s.shelf.discard(draft)
	draft.domain, draft.commit = to.domain, c.CommittedAt.UnixMilli()
	if err := s.write(draft, r, &c); err != nil {
		return nil, notFiltered, connector.Rejected(err)
	}
	p := s.shelf.keep(draft)
	r.Prepared = p
	return p, notFiltered, nil
}

// write encodes a change and, where it is asked for, names it.
func (s *Sink) write(p *prepared, r *connector.Record, c *debezium.Change) (err error) {
	p.literal, err = s.encoder.appendChange(p.literal[:0], r, c, nil)
	if err == nil && s.settings.claims != nil && p.alone() > maxInput {
		err = s.claim(p, r, c)
	}
	if err != nil {
		return fmt.Errorf("the change of %s.%s.%s cannot be read: %w", c.Database, c.Schema, c.Table, err)
	}
	if s.settings.nameByChange {
		o := &r.Origin
		if p.name, _, err = changeName(s.clusterID, s.connector, c, s.replayEpoch(o.Topic, o.Partition, o.Offset)); err != nil {
			return fmt.Errorf("naming the change: %w", err)
		}
	}
	return nil
}

// Cut parses, routes and encodes the records and divides them into calls by destination, by
// batch.max.records and by batch.max.bytes, in offset order. Tombstones and changes that no
// domain takes are left out and counted. A change that no input can hold is an error of its
// own: rejected, or with oversize.policy=fail the end of the task.
func (s *Sink) Cut(records []*connector.Record) ([]connector.Call, error) {
	c := cutter{sink: s}
	var failed map[int]error
	for i, r := range records {
		p, why, err := s.prepare(r)
		switch {
		case err != nil:
		case why != notFiltered:
			s.filtered[why].Add(1)
			continue
		case p.alone() > maxInput:
			err = s.oversize(r, p)
		default:
			c.add(r, p, len(records)-i)
			continue
		}
		if failed == nil {
			failed = map[int]error{}
		}
		failed[i] = err
	}
	if failed != nil {
		return c.calls, &connector.PartialError{Failed: failed}
	}
	return c.calls, nil
}

// alone is the size of an input that holds only this change.
func (p *prepared) alone() int { return p.domain.overhead + len(p.literal) }

func (s *Sink) oversize(r *connector.Record, p *prepared) error {
	err := s.tooLarge(p)
	s.release([]*connector.Record{r})
	return err
}

func (s *Sink) tooLarge(p *prepared) error {
	err := fmt.Errorf("the change needs an input of %d bytes as a JSON string literal, Step Functions takes %d: "+
		"leave large columns out in Debezium (column.exclude.list) or by columns.exclude, or let oversize.policy=s3 move them", p.alone(), maxInput)
	if s.settings.oversizeFails {
		return err
	}
	return connector.Rejected(err)
}

// cutter builds calls. Each domain has at most one open call, which takes the domain's next
// changes while they fit. A change never joins a call that comes before one with an earlier
// change of the same key: calls that are made in their order keep the order of every key.
type cutter struct {
	sink  *Sink
	calls []connector.Call
	open  []int          // by domain: the place of its open call in calls plus one; 0 for none
	sizes []int          // by call: the bytes of its input
	last  map[string]int // by key: the last call with a change of it; nil while all go to one domain
}

func (c *cutter) add(r *connector.Record, p *prepared, remaining int) {
	d := p.domain
	if c.open == nil {
		c.open = make([]int, len(c.sink.router.domains))
	}
	maxRecords, named := c.sink.limit(d)
	at := c.open[d.index] - 1
	if at < 0 && len(c.calls) > 0 && c.last == nil {
		c.watchKeys(remaining)
	}
	if at < 0 || len(c.calls[at].Records) >= maxRecords || c.sizes[at]+len(p.literal)+1 > c.sink.settings.maxBytes || c.overtakes(r, at) {
		at = len(c.calls)
		c.calls = append(c.calls, connector.Call{Records: make([]*connector.Record, 0, min(maxRecords, remaining)), Named: named})
		c.sizes = append(c.sizes, d.overhead-1)
		c.open[d.index] = at + 1
	}
	c.calls[at].Records = append(c.calls[at].Records, r)
	c.sizes[at] += len(p.literal) + 1
	if c.last != nil {
		c.last[string(bareKey(r.Origin.Key))] = at
	}
}

// watchKeys begins to look at keys, when a second domain shows up.
func (c *cutter) watchKeys(remaining int) {
	c.last = make(map[string]int, remaining)
	for at, call := range c.calls {
		for _, r := range call.Records {
			c.last[string(bareKey(r.Origin.Key))] = at
		}
	}
}

// overtakes says that a later call than at holds a change of r's key.
func (c *cutter) overtakes(r *connector.Record, at int) bool {
	last, seen := c.last[string(bareKey(r.Origin.Key))]
	return seen && last > at
}

// bareKey is the consumed key without its schema-registry prefix, Confluent's or Glue's: a key
// schema that is registered again under another id leaves keys equal.
func bareKey(key []byte) []byte {
	switch {
	case len(key) >= 5 && key[0] == 0x00:
		return key[5:]
	case len(key) >= 18 && key[0] == 0x03:
		return key[18:]
	}
	return key
}
