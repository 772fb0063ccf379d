package stepfunctions

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/stepconnect/stepconnect/internal/aws"
)

// place is where, and as whom, Step Functions is called.
type place struct {
	region string
	role   roleSettings // zero: the connector's own credentials
}

// clients are what calls one place. StartSyncExecution has connections of its own, since it keeps
// each for as long as the execution runs.
type clients struct {
	standard, express *starter
	sdk               *sfn.Client // all that is not a start
}

// clientSet makes the clients that the domains share, and owns their connections.
type clientSet struct {
	cfg          aws.Config
	endpoint     string // "" for the SDK's
	noHostPrefix bool
	start, sync  *aws.Transport
	stsEndpoint  string // "" for the SDK's
	byPlace      map[place]*clients
}

func newClientSet(cfg aws.Config, s *settings, maxInFlight int) *clientSet {
	conns := max(maxInFlight, 1)
	c := &clientSet{
		cfg: cfg, endpoint: s.endpoint, noHostPrefix: s.noHostPrefix,
		start: aws.NewTransport(conns), sync: aws.NewTransport(conns),
		stsEndpoint: s.stsEndpoint, byPlace: map[place]*clients{},
	}
	return c
}

// watch tells f of each call. It comes before the first.
func (c *clientSet) watch(f func(aws.Call)) { c.start.Watch, c.sync.Watch = f, f }

func (c *clientSet) of(p place) *clients {
	if known := c.byPlace[p]; known != nil {
		return known
	}
	cfg := c.cfg
	if p.role.arn != "" {
		cfg = aws.Role{
			ARN: p.role.arn, ExternalID: p.role.externalID, SessionName: p.role.session,
			Region: p.region, Endpoint: c.stsEndpoint, Transport: c.start,
		}.As(cfg)
	}
	client := c.client(cfg, p.region)
	made := &clients{
		standard: newStarter("StartExecution", startBySDK, client, c.start),
		express:  newStarter("StartSyncExecution", startSyncBySDK, client, c.sync),
		sdk:      client,
	}
	c.byPlace[p] = made
	return made
}

func (c *clientSet) client(cfg aws.Config, region string) *sfn.Client {
	configure := func(o *sfn.Options) {
		o.Region = region
		o.HTTPClient = &http.Client{Transport: c.start}
		if c.endpoint != "" {
			o.BaseEndpoint = &c.endpoint
		}
	}
	made := sfn.NewFromConfig(cfg, configure)
	// The environment can set an endpoint too (AWS_ENDPOINT_URL_SFN).
	if !c.noHostPrefix && made.Options().BaseEndpoint == nil {
		return made
	}
	return sfn.NewFromConfig(cfg, configure, sfn.WithAPIOptions(aws.WithoutHostPrefix))
}

func (c *clientSet) close() {
	c.start.CloseIdleConnections()
	c.sync.CloseIdleConnections()
}
