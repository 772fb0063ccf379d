package states

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Fault is what goes wrong with one call. The zero value is nothing.
type Fault struct {
	// Delay is waited before the call takes effect; a client that leaves meanwhile does not stop it.
	Delay time.Duration `json:"-"`
	// Until, when set, is waited for as well: the call goes on when it is closed. Not for rules.
	Until <-chan struct{} `json:"-"`
	// Code answers with this error ("ThrottlingException", "KmsThrottlingException", "InternalFailure" …).
	Code string `json:"code,omitempty"`
	// Message replaces the usual text of Code.
	Message string `json:"message,omitempty"`
	// HTTPStatus replaces the status that the service gives Code.
	HTTPStatus int `json:"http_status,omitempty"`
	// Reset ends the connection by a TCP reset instead of an answer.
	Reset bool `json:"reset,omitempty"`
	// AfterEffect lets the call take effect before Code or Reset strikes: the client cannot know.
	AfterEffect bool `json:"after_effect,omitempty"`
	// Run replaces the machine's Run for this call: the status, error and output of Express.
	Run *Run `json:"run,omitempty"`
}

// MarshalJSON writes Delay as text ("2s").
func (f Fault) MarshalJSON() ([]byte, error) {
	type plain Fault
	return json.Marshal(struct {
		plain
		Delay string `json:"delay,omitempty"`
	}{plain(f), durationText(f.Delay)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Fault) UnmarshalJSON(data []byte) error {
	type plain Fault
	var read struct {
		plain
		Delay string `json:"delay"`
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	d, err := durationOf(read.Delay)
	if err != nil {
		return fmt.Errorf("fault: delay: %w", err)
	}
	*f = Fault(read.plain)
	f.Delay = d
	return nil
}

func (f Fault) strikes() bool { return f.Code != "" || f.Reset }

func (f Fault) err() *apiError {
	if f.Code == "" {
		return nil
	}
	e := newError(f.Code, "%s", messageOf(f.Code))
	if f.Message != "" {
		e.message = f.Message
	}
	if f.HTTPStatus != 0 {
		e.status = f.HTTPStatus
	}
	return e
}

// Rule gives a fault to the calls that match it. The first matching rule wins.
type Rule struct {
	// Target is the call, as "StartExecution"; "" matches all.
	Target string `json:"target,omitempty"`
	// Machine is the name or ARN of the state machine; "" matches all.
	Machine string `json:"machine,omitempty"`
	// Name is how the execution's name begins; "" matches all.
	Name string `json:"name,omitempty"`
	// Skip lets so many matching calls pass first.
	Skip int `json:"skip,omitempty"`
	// Every takes each so many-th of the rest; 0 and 1 take all.
	Every int `json:"every,omitempty"`
	// Probability takes that share of the rest by draw; 0 takes all.
	Probability float64 `json:"probability,omitempty"`
	// Count is how often the rule strikes; 0 is without end.
	Count int   `json:"count,omitempty"`
	Fault Fault `json:"fault"`
}

// RuleState is a rule with what became of it.
type RuleState struct {
	Rule
	// Matched counts the calls that matched, Hits those that got the fault.
	Matched int `json:"matched"`
	Hits    int `json:"hits"`
}

// rules decide the fault of a call.
type rules struct {
	mu   sync.Mutex // guards list and draw
	list []RuleState
	draw *rand.Rand
}

func newRules(seed uint64) *rules { return &rules{draw: rand.New(rand.NewPCG(seed, 0))} }

func (r *rules) set(list []Rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
	for _, rule := range list {
		r.list = append(r.list, RuleState{Rule: rule})
	}
}

func (r *rules) states() []RuleState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]RuleState{}, r.list...)
}

// fault is what the first rule that takes the call gives it.
func (r *rules) fault(c Call) (Fault, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.list {
		if r.list[i].takes(c, r.draw) {
			return r.list[i].Fault, true
		}
	}
	return Fault{}, false
}

func (s *RuleState) takes(c Call, draw *rand.Rand) bool {
	switch {
	case s.Target != "" && s.Target != c.Target,
		s.Machine != "" && !namesMachine(s.Machine, c.Machine),
		!strings.HasPrefix(c.Name, s.Name),
		s.Count > 0 && s.Hits >= s.Count:
		return false
	}
	s.Matched++
	if s.Matched <= s.Skip ||
		s.Every > 1 && (s.Matched-s.Skip)%s.Every != 0 ||
		s.Probability > 0 && draw.Float64() >= s.Probability {
		return false
	}
	s.Hits++
	return true
}

// namesMachine says whether arn, qualified or not, is of the machine called name (or having it as ARN).
func namesMachine(name, arn string) bool {
	a, err := parseMachineARN(arn)
	return name == arn || err == nil && (name == a.name || name == a.base)
}
