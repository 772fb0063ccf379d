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

var _ connector.Connector = Connector{}

// Info describes the plugin.
func (Connector) Info() connector.Info {
	return connector.Info{
		Class: "StepFunctionsSink", Aliases: aliases[:], Version: version,
		Doc: "Starts the AWS Step Functions state machine of the domain that each Debezium change event belongs to.",
	}
}

// NewSink makes the sink of a task. With execution.type=auto it asks for the types of the state
// machines; a domain whose machine does not answer is asked again at its first delivery, so that
// one domain's trouble does not keep the others from starting.
func (Connector) NewSink(ctx context.Context, cfg config.Values, tc connector.TaskContext) (connector.Sink, error) {
	set, err := newSettings(cfg)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of connector %s: %w", tc.Connector, err)
	}
	awsCfg, err := aws.Load(ctx, set.region)
	if err != nil {
		return nil, connector.Retryable(err)
	}
	s := &Sink{
		connector: tc.Connector, clusterID: tc.ClusterID,
		topicID: tc.TopicID, replayEpoch: tc.ReplayEpoch,
		settings: set,
		parser:   debezium.NewParser(), encoder: &set.input,
		clients:  newClientSet(awsCfg, set, tc.MaxInFlight),
		filtered: newFilterMetrics(tc.Metrics),
		pool:     sync.Pool{New: func() any { return new(prepared) }},
	}
	for i, ds := range set.domains {
		d := newDomain(i, ds, s.clients.of(ds.arn.region), tc.Metrics)
		s.router.domains = append(s.router.domains, d)
		if ds.name == set.fallback {
			s.router.fallback = d
		}
	}
	s.resolveAll(ctx, tc)
	if err := ctx.Err(); err != nil {
		s.clients.close()
		return nil, connector.Retryable(err)
	}
	return s, nil
}

// resolveAll asks for all types at once and waits for the answers.
func (s *Sink) resolveAll(ctx context.Context, tc connector.TaskContext) {
	var asked sync.WaitGroup
	for _, d := range s.router.domains {
		asked.Go(func() {
			if _, err := d.resolve(ctx, s.settings.requestTimeout); err != nil && ctx.Err() == nil {
				v := s.judge(d, err)
				tc.Log.Warn("the type of a state machine is not known yet; its changes wait until it is",
					"domain", d.name, "state_machine", d.arn.text, "error", err, "remedy", v.remedy)
			}
		})
	}
	asked.Wait()
}
