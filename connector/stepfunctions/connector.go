package stepfunctions

import (
	"context"
	"fmt"
	"sync"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/debezium"
	"github.com/stepconnect/stepconnect/internal/aws"
)

const version = "1.0.0"

var aliases = [...]string{"StepFunctionsSinkConnector", "io.stepconnect.StepFunctionsSinkConnector"}

// Connector is the StepFunctionsSink as a plugin.
type Connector struct{}

var (
	_ connector.Connector = Connector{}
	_ connector.Measured  = Connector{}
)

// Info describes the plugin.
func (Connector) Info() connector.Info {
	return connector.Info{
		Class: "StepFunctionsSink", Aliases: aliases[:], Version: version,
		Doc: "Starts the AWS Step Functions state machine of the domain that each Debezium change event belongs to.",
	}
}

// Measure implements connector.Measured.
func (Connector) Measure(m connector.Metrics) {
	newDomainMetrics(m, "clientes")
	newFilterMetrics(m)
	newBudgetMetrics(m, quota{"000000000000", "sa-east-1", callStart})
	newOutcomeMetrics(m, "clientes")
	newCallMetrics(m).ended(aws.Call{Operation: callStart, Status: 200})
}

// NewSink makes the sink of a task. With execution.type=auto it asks for the types of the state
// machines; a domain whose machine does not answer is asked again at its first delivery, so that
// one domain's trouble does not keep the others from starting. Task 0 begins to look for failed executions, which
// Close ends.
func (Connector) NewSink(ctx context.Context, cfg config.Values, tc connector.TaskContext) (connector.Sink, error) {
	set, err := newSettings(cfg, tc.Connector)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of connector %s: %w", tc.Connector, err)
	}
	awsCfg, err := aws.Load(ctx, set.region)
	if err != nil {
		return nil, connector.Retryable(err)
	}
	s := newTaskSink(set, tc)
	calls := newCallMetrics(tc.Metrics)
	s.clients = newClientSet(awsCfg, set, tc.MaxInFlight)
	s.clients.watch(calls.ended)
	for i, d := range s.router.domains {
		d.clients = s.clients.of(place{d.arn.region, set.domains[i].role})
	}
	if set.claims != nil {
		s.objects = newObjects(awsCfg, set.claims, set.requestTimeout, tc.MaxInFlight)
		s.objects.transport.Watch = calls.ended
	}
	s.resolveAll(ctx, tc)
	if err := ctx.Err(); err != nil {
		_ = s.Close(ctx) // never fails
		return nil, connector.Retryable(err)
	}
	if tc.Task == 0 && set.sweepInterval > 0 {
		s.sweeps = newSweeps(s.router.domains, set, tc)
		s.sweeps.start(ctx)
	}
	return s, nil
}

// newTaskSink makes a sink that can cut, encode and name, but not call.
func newTaskSink(set *settings, tc connector.TaskContext) *Sink {
	s := &Sink{
		connector: tc.Connector, clusterID: tc.ClusterID,
		topicID: tc.TopicID, replayEpoch: tc.ReplayEpoch,
		settings: set,
		parser:   debezium.NewParser(), encoder: &set.input,
		filtered: newFilterMetrics(tc.Metrics),
	}
	starts := newBudgets(set.rateLimit, tc)
	s.budgets = starts
	for i, ds := range set.domains {
		d := newDomain(i, ds, starts, tc.Metrics)
		s.router.domains = append(s.router.domains, d)
		if ds.name == set.fallback {
			s.router.fallback = d
		}
	}
	return s
}

// resolveAll asks for all types at once and waits for the answers.
func (s *Sink) resolveAll(ctx context.Context, tc connector.TaskContext) {
	var asked sync.WaitGroup
	for _, d := range s.router.domains {
		asked.Go(func() {
			if _, err := d.resolve(ctx, s.settings.requestTimeout); err != nil && ctx.Err() == nil {
				v := s.judge(d, err, false)
				tc.Log.Warn("the type of a state machine is not known yet; its changes wait until it is",
					"domain", d.name, "state_machine", d.arn.text, "error", err, "remedy", v.remedy)
			}
		})
	}
	asked.Wait()
}
