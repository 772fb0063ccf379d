package states

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Remote talks to the admin side of an endpoint in another process.
type Remote struct {
	// URL is the endpoint's, without a slash at the end.
	URL string
	// Client is used for requests; nil is http.DefaultClient.
	Client *http.Client
}

// Stats counts the endpoint's log.
func (r Remote) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	err := r.call(ctx, http.MethodGet, "/_stats", nil, &s)
	return s, err
}

// Wait asks for the stats every so often until cond holds, or ctx is done.
func (r Remote) Wait(ctx context.Context, every time.Duration, cond func(Stats) bool) (Stats, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s, err := r.Stats(ctx)
		if err != nil || cond(s) {
			return s, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// Log reads the calls after the first n, in order of arrival.
func (r Remote) Log(ctx context.Context, n int) ([]Call, error) {
	resp, err := r.do(ctx, http.MethodGet, "/_log?after="+strconv.Itoa(n), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return ReadLog(resp.Body)
}

// Report has the endpoint verify its log.
func (r Remote) Report(ctx context.Context, x Expected) (Report, error) {
	var report Report
	err := r.call(ctx, http.MethodPost, "/_report", x, &report)
	return report, err
}

// SetRules replaces the endpoint's fault rules.
func (r Remote) SetRules(ctx context.Context, list ...Rule) error {
	if list == nil {
		list = []Rule{}
	}
	return r.call(ctx, http.MethodPut, "/_faults", list, nil)
}

// Rules reads the rules in force and how often they struck.
func (r Remote) Rules(ctx context.Context) ([]RuleState, error) {
	var list []RuleState
	err := r.call(ctx, http.MethodGet, "/_faults", nil, &list)
	return list, err
}

// SetMachine adds or replaces a state machine.
func (r Remote) SetMachine(ctx context.Context, m Machine) error {
	return r.call(ctx, http.MethodPut, "/_machines", m, nil)
}

// RemoveMachine makes the machine with the ARN unknown.
func (r Remote) RemoveMachine(ctx context.Context, arn string) error {
	return r.call(ctx, http.MethodDelete, "/_machines?arn="+url.QueryEscape(arn), nil, nil)
}

// SetLimits replaces the token buckets.
func (r Remote) SetLimits(ctx context.Context, limits map[string]Limit) error {
	return r.call(ctx, http.MethodPut, "/_limits", limits, nil)
}

// SetExpired expires the credentials of an access key id, or makes them good again.
func (r Remote) SetExpired(ctx context.Context, accessKeyID string, expired bool) error {
	return r.call(ctx, http.MethodPut, "/_expired", expiry{accessKeyID, expired}, nil)
}

// FinishAll closes the RUNNING executions of a machine and returns their number.
func (r Remote) FinishAll(ctx context.Context, machineARN string, run Run) (int, error) {
	var n struct {
		Finished int `json:"finished"`
	}
	err := r.call(ctx, http.MethodPost, "/_finish", finish{Machine: machineARN, Run: run}, &n)
	return n.Finished, err
}

// call sends body as JSON and reads the answer into result; both may be nil.
func (r Remote) call(ctx context.Context, method, path string, body, result any) error {
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("step functions endpoint %s%s: %w", r.URL, path, err)
		}
		sent = bytes.NewReader(data)
	}
	resp, err := r.do(ctx, method, path, sent)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if result == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(result); err != nil {
		return fmt.Errorf("step functions endpoint %s%s: %w", r.URL, path, err)
	}
	return nil
}

// do returns an answer of status 200, whose body the caller closes.
func (r Remote) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.URL+path, body)
	if err != nil {
		return nil, fmt.Errorf("step functions endpoint: %w", err)
	}
	client := r.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("step functions endpoint: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		_ = resp.Body.Close()
		return nil, fmt.Errorf("step functions endpoint %s%s: %s: %s", r.URL, path, resp.Status, bytes.TrimSpace(said))
	}
	return resp, nil
}
