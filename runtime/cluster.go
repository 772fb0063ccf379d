package runtime

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/runtime/store"
)

// Membership is a worker's place in the group of its cluster's workers. The member that holds the office leads:
// it alone writes the config log and the plans.
type Membership interface {
	// Run takes part until ctx ends, then leaves. An error means that this worker cannot be a member.
	Run(ctx context.Context) error
	// Office gives the present term of leading, which grows each time that the office is taken.
	Office() (term int64, held bool)
	// Changed gives a channel that is closed when Office changes.
	Changed() <-chan struct{}
	// Append writes to a topic of the cluster, all entries or none, as long as term lasts: else store.ErrFenced. An
	// outcome that is not known is a *store.UnsettledError; after any other error nothing was written.
	Append(ctx context.Context, term int64, topic string, entries ...store.Entry) (int64, error)
	// Members asks the group's coordinator. settled is false while members come and go.
	Members(ctx context.Context) (peers []Peer, settled bool, err error)
}

// Peer is a member of the workers' group.
type Peer struct {
	ClientID string // see ClusterOptions.ClientID
	Host     string // as the coordinator saw it connect
	Topics   []string
}

// URL is where the peer is reached; ok is false for a member that is no worker of ours.
func (p Peer) URL() (u string, ok bool) {
	u, nonce, ok := strings.Cut(p.ClientID, "#")
	return u, ok && nonce != "" && strings.Contains(u, "://")
}

// workerOf is the worker id of a URL: host:port.
func workerOf(u string) string {
	_, hostPort, _ := strings.Cut(u, "://")
	return hostPort
}

// ClusterOptions make a Herder one of several.
type ClusterOptions struct {
	Membership Membership
	// PlanLog holds the leaders' plans, in PlanTopic; ConfigTopic and StatusTopic are those of the other logs.
	PlanLog                             store.Log
	PlanTopic, ConfigTopic, StatusTopic string
	Group                               string // group.id
	// URL is this worker's own, as advertised. Nonce is random for each process.
	URL, Nonce string
	// NonceAt asks the worker at a URL for its nonce; an error is no answer.
	NonceAt func(ctx context.Context, url string) (string, error)
	// Ask gets a path of another worker's REST API, on behalf of the request that ctx belongs to.
	Ask func(ctx context.Context, url, path string, into any) error
	// GroupMembers counts the members of a consumer group on the workers' own Kafka cluster.
	GroupMembers func(ctx context.Context, group string) (int, error)
	// Session is how long a worker may be silent. Delay is how long the tasks of one that left wait for it.
	Session, Delay time.Duration
}

// ClientID is the name under which the worker joins the group: its URL, and what tells it from an earlier process there.
func (o *ClusterOptions) ClientID() string { return o.URL + "#" + o.Nonce }

// Elsewhere is the error of a request that another worker has to serve.
type Elsewhere struct {
	URL string // of that worker; "" while nobody knows
}

func (e *Elsewhere) Error() string {
	if e.URL == "" {
		return "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."
	}
	return "another worker serves this request: " + e.URL
}

// admission decides from the group's present members whether this worker may join. wait names a member that has its
// URL and may be its own former process; the caller finds out.
func admission(peers []Peer, o *ClusterOptions) (wait *Peer, err error) {
	for i, p := range peers {
		for _, topic := range p.Topics {
			if topic != o.PlanTopic {
				return nil, fmt.Errorf("group.id %s is used by member %s at %s, which reads topic %s: another cluster of workers with another config.storage.topic, or a connector's consumer group; name another group.id", o.Group, p.ClientID, p.Host, topic)
			}
		}
		u, ok := p.URL()
		switch {
		case !ok:
			return nil, fmt.Errorf("group.id %s has a member %q at %s that is no worker of this kind; stop it or name another group.id", o.Group, p.ClientID, p.Host)
		case u == o.URL && p.ClientID != o.ClientID():
			wait = &peers[i]
		}
	}
	return wait, nil
}

// reachable checks, once this worker is a member, that the others can reach it: a loopback address means another
// worker on another host.
func reachable(peers []Peer, o *ClusterOptions) error {
	i := slices.IndexFunc(peers, func(p Peer) bool { return p.ClientID == o.ClientID() })
	if i < 0 || !loopbackURL(o.URL) {
		return nil
	}
	for _, p := range peers {
		if p.Host != peers[i].Host {
			return fmt.Errorf("this worker advertises %s, which the member at %s cannot reach: set listeners to an address of this host, rest.advertised.host.name, and authentication (rest.auth.basic.users.file)", o.URL, p.Host)
		}
	}
	return nil
}

func loopbackURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
}

// foreign tells why a plan that the plan log holds is another cluster's; nil when it is this one's. The
// caller knows whether that cluster is alive.
func foreign(p ClusterPlan, o *ClusterOptions) error {
	switch {
	case p.Group != "" && p.Group != o.Group:
		return fmt.Errorf("config.storage.topic %s belongs to the cluster with group.id %s (led by %s); name another topic, or that group.id", o.ConfigTopic, p.Group, p.Leader)
	case p.StatusTopic != "" && p.StatusTopic != o.StatusTopic:
		return fmt.Errorf("the cluster with group.id %s keeps its statuses in topic %s, and status.storage.topic here is %s; all workers of a cluster name the same", o.Group, p.StatusTopic, o.StatusTopic)
	}
	return nil
}
