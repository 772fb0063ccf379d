package stepfunctions

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/stepconnect/stepconnect/internal/aws"
)

// clients are the clients of one region. StartSyncExecution has connections of its own, since
// it keeps each for as long as the execution runs.
type clients struct {
	start *sfn.Client // StartExecution, DescribeStateMachine
	sync  *sfn.Client // StartSyncExecution
}

// clientSet makes the clients that the domains share, and owns their connections.
type clientSet struct {
	cfg          aws.Config
	endpoint     string // "" for the SDK's
	noHostPrefix bool
	start, sync  *aws.Transport
	byRegion     map[string]*clients
}

// newClientSet gives room for twice maxInFlight: while calls of one partition hang in slots that were lent
// to it, the others still get their own (runtime/task, scheduler).
func newClientSet(cfg aws.Config, s *settings, maxInFlight int) *clientSet {
	conns := 2 * max(maxInFlight, 1)
	return &clientSet{
		cfg: cfg, endpoint: s.endpoint, noHostPrefix: s.noHostPrefix,
		start: aws.NewTransport(conns), sync: aws.NewTransport(conns),
		byRegion: map[string]*clients{},
	}
}

func (c *clientSet) of(region string) *clients {
	if known := c.byRegion[region]; known != nil {
		return known
	}
	made := &clients{start: c.client(region, c.start), sync: c.client(region, c.sync)}
	c.byRegion[region] = made
	return made
}

func (c *clientSet) client(region string, t *aws.Transport) *sfn.Client {
	configure := func(o *sfn.Options) {
		o.Region = region
		o.HTTPClient = &http.Client{Transport: t}
		if c.endpoint != "" {
			o.BaseEndpoint = &c.endpoint
		}
	}
	made := sfn.NewFromConfig(c.cfg, configure)
	// The environment can set an endpoint too (AWS_ENDPOINT_URL_SFN).
	if !c.noHostPrefix && made.Options().BaseEndpoint == nil {
		return made
	}
	return sfn.NewFromConfig(c.cfg, configure, sfn.WithAPIOptions(aws.WithoutHostPrefix))
}

func (c *clientSet) close() {
	c.start.CloseIdleConnections()
	c.sync.CloseIdleConnections()
}
