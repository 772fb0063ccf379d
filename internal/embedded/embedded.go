// Package embedded starts what the worker talks to, in this process and on loopback: a Kafka cluster
// (package broker), a schema registry (package registry) and a Step Functions endpoint (package states).
// All three speak their real protocols, so the worker is configured as for the real ones. It is for
// `stepconnect demo` and for tests; no delivery path may import it.
package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

// Options declare the three parts; the zero value of each is a working one on free ports.
type Options struct {
	Kafka    broker.Options
	Registry registry.Options
	States   states.Options
}

// Stack is the three parts running.
type Stack struct {
	Kafka    *broker.Broker
	Registry *registry.Server
	States   *states.Endpoint
}

// Start runs all three until Close; when one does not start, none is left running. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("embedded stack: %w", err)
	}
	s := &Stack{}
	var err error
	if s.Kafka, err = broker.Start(o.Kafka); err == nil {
		s.Registry, err = registry.Start(ctx, o.Registry)
	}
	if err == nil {
		s.States, err = states.Start(ctx, o.States)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded stack: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

// Close ends all three, the endpoint first: its clients are the last in the path.
func (s *Stack) Close() error {
	var errs []error
	if s.States != nil {
		errs = append(errs, s.States.Close())
	}
	if s.Registry != nil {
		errs = append(errs, s.Registry.Close())
	}
	if s.Kafka != nil {
		s.Kafka.Close()
	}
	return errors.Join(errs...)
}
