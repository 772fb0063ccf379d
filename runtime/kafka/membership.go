package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// rejoinAfter is the wait before a worker that gave up its membership joins anew.
const rejoinAfter = 250 * time.Millisecond

// MembershipConfig says which group of workers one belongs to, and as whom.
type MembershipConfig struct {
	Properties map[string]string // librdkafka's names; bootstrap.servers is required
	Token      TokenFunc         // see SourceConfig.Token
	// Group is the worker's group.id. Topic has one partition, whose owner in the group leads.
	Group, Topic string
	// ClientID tells the others who this member is.
	ClientID string
	// TransactionalID is of the leader's producer: one for the whole group.
	TransactionalID string
	// Session is how long a member may be silent, Heartbeat how often it speaks, Rebalance how long it may take to join again.
	Session, Heartbeat, Rebalance time.Duration
	Log                           *slog.Logger // nil means none
}

// Membership is one worker's place in its group. The member that owns the one partition of Topic leads: its office begins
// when its transactional producer has fenced the one before, and ends with the partition.
type Membership struct {
	cfg      MembershipConfig
	consumer settings
	producer settings
	log      *slog.Logger
	writing  chan struct{} // holds one while a transaction is open

	// Of Run's goroutine.
	certificates certificates
	joined       bool      // the group has had this member
	warned       time.Time // when a refusal was last logged

	mu      sync.Mutex // guards the fields below
	office  *office
	terms   int64
	changed chan struct{} // closed and replaced when office changes
}

// office is one term of leading.
type office struct {
	term   int64
	p      *ck.Producer
	member *ck.Consumer
	resign context.CancelCauseFunc // leaves the group, to join it anew
}

// OpenMembership checks the settings; Run joins.
func OpenMembership(cfg MembershipConfig) (*Membership, error) {
	m := &Membership{cfg: cfg, log: orDiscard(cfg.Log), writing: make(chan struct{}, 1), changed: make(chan struct{})}
	var err error
	if m.consumer, err = newSettings(cfg.Properties); err != nil {
		return nil, err
	}
	if m.producer, err = newSettings(cfg.Properties); err != nil {
		return nil, err
	}
	millis := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	for k, v := range map[string]string{
		"group.id": cfg.Group, "client.id": cfg.ClientID, "enable.auto.commit": "false", "enable.auto.offset.store": "false",
		"auto.offset.reset": "latest", "partition.assignment.strategy": "cooperative-sticky", "allow.auto.create.topics": "false",
		"session.timeout.ms": millis(cfg.Session), "heartbeat.interval.ms": millis(cfg.Heartbeat),
		"max.poll.interval.ms": millis(max(cfg.Rebalance, cfg.Session)),
	} {
		m.consumer[k] = v
	}
	for k, v := range map[string]string{
		"client.id": cfg.ClientID, "transactional.id": cfg.TransactionalID, "acks": "all", "enable.idempotence": "true", "linger.ms": "0",
		// A leader that is cut off inside a transaction holds up every reader for this long.
		"transaction.timeout.ms": millis(max(cfg.Session, 5*time.Second)),
	} {
		m.producer[k] = v
	}
	delete(m.producer, "retries")
	delete(m.producer, "delivery.timeout.ms")
	m.consumer.preset("reconnect.backoff.max.ms", "1000")
	m.producer.preset("reconnect.backoff.max.ms", "1000")
	return m, nil
}

// Office gives the present term of leading; held is false while another member leads, or nobody.
func (m *Membership) Office() (term int64, held bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.office == nil {
		return 0, false
	}
	return m.office.term, true
}

// Changed gives a channel that is closed when Office changes.
func (m *Membership) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *Membership) setOffice(o *office) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.office = o
	close(m.changed)
	m.changed = make(chan struct{})
}

// Run joins the group and stays in it until ctx ends; then it leaves, so that the others know at once. An
// error means that this worker cannot be in this group: the group is of another kind, or the cluster refuses it from the
// start. A refusal that comes later is waited out: permissions are changed and put right while workers run.
func (m *Membership) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := m.serve(ctx)
		if err != nil {
			return err
		}
		select {
		case <-time.After(rejoinAfter):
		case <-ctx.Done():
		}
	}
	return nil
}

// serve is one life as a member; nil means that it has left and may join again.
func (m *Membership) serve(ctx context.Context) error {
	m.certificates = m.consumer.certificates()
	c, err := ck.NewConsumer(m.consumer.configMap())
	if err != nil && m.joined { // as while one of two certificate files has been replaced
		m.warn("the client of the worker group cannot be opened; trying again: " + err.Error())
		return nil
	}
	if err != nil {
		return m.consumer.openError("member of group "+m.cfg.Group, err)
	}
	staying, resign := context.WithCancelCause(ctx)
	s := &stay{Membership: m, c: c, resign: resign}
	if lines := c.Logs(); lines != nil {
		s.helpers.Go(func() { forwardLogs(lines, m.log) })
	}
	defer func() {
		resign(nil)
		s.leaveOffice()
		if err := closeMember(c); err != nil {
			m.log.Warn("leaving the worker group failed", "group", m.cfg.Group, "error", err)
		}
		s.helpers.Wait()
	}()
	if err := c.SubscribeTopics([]string{m.cfg.Topic}, func(_ *ck.Consumer, ev ck.Event) error { return s.rebalance(staying, ev) }); err != nil {
		return fmt.Errorf("join group %s: %w", m.cfg.Group, err)
	}
	for staying.Err() == nil {
		if keys := m.certificates.replaced(); len(keys) > 0 {
			resign(fmt.Errorf("the files of %s have been replaced, and a connection was lost with those before", strings.Join(keys, ", ")))
		}
		switch e := c.Poll(int(pollWait / time.Millisecond)).(type) {
		case ck.Error:
			m.certificates.note(e.Code())
			if err := m.trouble(e, resign); err != nil {
				return err
			}
		case ck.OAuthBearerTokenRefresh:
			if _, err := giveToken(staying, m.cfg.Token, c); err != nil {
				m.log.Warn("kafka client of the worker group: " + err.Error())
			}
		}
	}
	if cause := context.Cause(staying); ctx.Err() == nil {
		m.log.Warn("leaving the worker group, to join it anew", "group", m.cfg.Group, "cause", cause)
	}
	return nil
}

// trouble gives the errors that no waiting heals; other fatal ones are healed by a new client.
func (m *Membership) trouble(e ck.Error, resign context.CancelCauseFunc) error {
	switch code := e.Code(); {
	case code == ck.ErrInconsistentGroupProtocol:
		return fmt.Errorf("group.id %s: the group has members of another kind, such as JVM Kafka Connect workers; stop them first or name another group.id: %w", m.cfg.Group, e)
	case code == ck.ErrInvalidSessionTimeout:
		return fmt.Errorf("session.timeout.ms=%d is not within the broker's group.min.session.timeout.ms and group.max.session.timeout.ms: %w", m.cfg.Session.Milliseconds(), e)
	case refusedClient(e) && !m.joined:
		return fmt.Errorf("the cluster refused the worker group %s (%s): %w", m.cfg.Group, m.consumer.explain(), e)
	case refusedClient(e):
		m.warn("the cluster refuses the worker group now; trying again (" + m.consumer.explain() + "): " + e.Error())
	case e.IsFatal():
		resign(e)
	default:
		m.log.Debug("kafka client of the worker group", "group", m.cfg.Group, "error", e)
	}
	return nil
}

// warn logs what lasts, not more often than logEvery.
func (m *Membership) warn(text string) {
	if now := time.Now(); now.Sub(m.warned) >= logEvery {
		m.warned = now
		m.log.Warn(text, "group", m.cfg.Group)
	}
}

// stay is one life as a member.
type stay struct {
	*Membership
	c       *ck.Consumer
	resign  context.CancelCauseFunc
	helpers sync.WaitGroup
	end     context.CancelFunc // of the office, or of the way to it; nil without one
	taking  chan struct{}      // closed when that has ended
}

// rebalance serves a change of the assignment: the one partition comes or goes. Nothing is read of it.
func (s *stay) rebalance(ctx context.Context, ev ck.Event) error {
	switch e := ev.(type) {
	case ck.AssignedPartitions:
		s.joined = true
		for i := range e.Partitions {
			e.Partitions[i].Offset = ck.OffsetEnd
		}
		if err := s.c.IncrementalAssign(e.Partitions); err != nil {
			return err
		}
		if len(e.Partitions) == 0 {
			return nil
		}
		if err := s.c.Pause(e.Partitions); err != nil {
			return err
		}
		s.takeOffice(ctx)
	case ck.RevokedPartitions:
		if len(e.Partitions) > 0 {
			s.leaveOffice()
		}
		return s.c.IncrementalUnassign(e.Partitions)
	}
	return nil
}

// takeOffice fences the leader before this one, aside, and then holds the office until leaveOffice.
func (s *stay) takeOffice(ctx context.Context) {
	s.leaveOffice()
	ctx, s.end = context.WithCancel(ctx)
	taken := make(chan struct{})
	s.taking = taken
	s.helpers.Go(func() {
		defer close(taken)
		for ctx.Err() == nil {
			p, err := s.fence(ctx)
			if err != nil {
				s.log.Warn("taking over the lead is delayed", "group", s.cfg.Group, "error", err)
				select {
				case <-time.After(rejoinAfter):
				case <-ctx.Done():
				}
				continue
			}
			s.hold(ctx, p)
			return
		}
	})
}

// fenceWait bounds how long one producer tries; another one looks for the coordinator anew.
const fenceWait = 10 * time.Second

// fence makes the transactional producer; when it returns, no earlier one can write any more.
func (s *stay) fence(ctx context.Context) (*ck.Producer, error) {
	conf := s.producer.configMap()
	// By default the library makes channels of a million places: 24 MB that the garbage collector takes for live.
	(*conf)["go.events.channel.size"], (*conf)["go.produce.channel.size"] = 1000, 0
	p, err := ck.NewProducer(conf)
	if err != nil {
		return nil, s.producer.openError("the leader's producer", err)
	}
	if lines := p.Logs(); lines != nil {
		s.helpers.Go(func() { forwardLogs(lines, s.log) })
	}
	serving := context.WithoutCancel(ctx)
	s.helpers.Go(func() { // until p is closed
		for ev := range p.Events() {
			if _, ok := ev.(ck.OAuthBearerTokenRefresh); ok {
				if _, err := giveToken(serving, s.cfg.Token, p); err != nil {
					s.log.Warn("the leader's producer: " + err.Error())
				}
			}
		}
	})
	for began := time.Now(); ; {
		// librdkafka resumes an InitTransactions that timed out.
		bounded, cancel := context.WithTimeout(ctx, time.Second)
		err = p.InitTransactions(bounded)
		cancel()
		var e ck.Error
		switch {
		case err == nil:
			return p, nil
		case ctx.Err() == nil && errors.As(err, &e) && (e.IsRetriable() || e.IsTimeout()) && !e.IsFatal() && time.Since(began) < fenceWait:
			continue
		}
		p.Close()
		return nil, fmt.Errorf("fence the leader before: %w", err)
	}
}

// hold is the office, until ctx ends.
func (s *stay) hold(ctx context.Context, p *ck.Producer) {
	s.mu.Lock()
	s.terms++
	term := s.terms
	s.mu.Unlock()
	s.log.Info("this worker leads", "group", s.cfg.Group, "term", term)
	s.setOffice(&office{term: term, p: p, member: s.c, resign: s.resign})
	<-ctx.Done()
	s.setOffice(nil)
	s.writing <- struct{}{} // a transaction that is open ends first
	p.Close()
	<-s.writing
	s.log.Info("this worker does not lead any more", "group", s.cfg.Group, "term", term)
}

func (s *stay) leaveOffice() {
	if s.end == nil {
		return
	}
	s.end()
	<-s.taking
	s.end = nil
}
