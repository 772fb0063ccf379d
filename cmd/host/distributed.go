package host

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/stepconnect/stepconnect/api"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime"
	"github.com/stepconnect/stepconnect/runtime/kafka"
)

// nonceHeader is on every answer of a distributed worker: it tells one process from another at the same URL.
const nonceHeader = "Stepconnect-Worker"

func distributedCommand(p connector.Plugins, b Build) *cobra.Command {
	return &cobra.Command{
		Use:   "distributed WORKER.properties",
		Short: "Run one worker of a cluster that keeps its state in Kafka",
		Long: "Runs one worker as connect-distributed does, from the same file. Workers with the same group.id share the connectors;\n" +
			"what one of them is told over REST holds for all, and the tasks of one that ends move to the others.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			cfg, providers, err := runtime.LoadWorkerConfig(ctx, args[0], true, providerKinds())
			if err != nil {
				return err
			}
			w, err := NewDistributed(ctx, p, b, cfg, providers, LogHandler(os.Stdout))
			if err != nil {
				return IgnoreStop(ctx, err)
			}
			return IgnoreStop(ctx, w.Run(ctx))
		},
	}
}

// NewDistributed puts a worker together whose state lives in Kafka. No broker is asked before Run, which makes the internal
// topics that are missing, checks those that exist, and waits for brokers that are down while the REST API tells so.
func NewDistributed(ctx context.Context, p connector.Plugins, b Build, cfg *runtime.WorkerConfig, providers *runtime.Providers, handler slog.Handler) (*Worker, error) {
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	nonce := hex.EncodeToString(random)
	client, err := forwardClient(cfg)
	if err != nil {
		return nil, err
	}
	w, o, err := assemble(ctx, p, b, cfg, providers, handler, func(a *api.Options) error {
		rule, err := api.ParseResponseHeaders("set " + nonceHeader + ": " + nonce)
		a.ResponseHeaders = append(a.ResponseHeaders, rule...)
		a.Forward = client
		return err
	})
	if err != nil {
		return nil, err
	}
	v := cfg.Values
	o.Cluster = &runtime.ClusterOptions{
		Group: v.String("group.id"), URL: w.URL, Nonce: nonce, NonceAt: nonceAt(client), Ask: ask(client),
		ConfigTopic: v.String("config.storage.topic"), StatusTopic: v.String("status.storage.topic"), PlanTopic: planTopic(cfg),
		Session: v.Duration("session.timeout.ms"), Delay: v.Duration("scheduled.rebalance.max.delay.ms"),
	}
	internal, err := openInternals(ctx, cfg, o.Cluster, w.log)
	if err != nil {
		return nil, errors.Join(err, w.server.Close())
	}
	o.ConfigLog, o.StatusLog = internal.config, internal.status
	w.Herder = runtime.NewHerder(o)
	w.open = func(ctx context.Context) error { return internal.open(ctx, w.Herder.Starting) }
	w.close = internal.close
	return w, nil
}

// planTopic is the internal topic beside Kafka Connect's three: it holds the leaders' plans, and the owner of its
// one partition in the worker group leads.
func planTopic(cfg *runtime.WorkerConfig) string {
	return cfg.Values.String("config.storage.topic") + "-members"
}

// internalTopics are the topics in which the cluster keeps its state, as Kafka Connect makes them; source offsets
// are not ours, but a JVM worker that takes over expects their topic.
func internalTopics(cfg *runtime.WorkerConfig) (config, plan, status, offsets kafka.InternalTopic) {
	topic := func(kind, purpose string, single bool) kafka.InternalTopic {
		prefix := kind + ".storage."
		t := kafka.InternalTopic{Key: prefix + "topic", Purpose: purpose, Single: single, TopicSpec: kafka.TopicSpec{
			Name: cfg.Values.String(prefix + "topic"), ReplicationFactor: int(cfg.Values.Short(prefix + "replication.factor")), Config: map[string]string{},
		}}
		if !single {
			t.Partitions = cfg.Values.Int(prefix + "partitions")
		}
		for k, value := range cfg.Raw {
			if setting, ok := strings.CutPrefix(k, prefix); ok && setting != "topic" && setting != "replication.factor" && setting != "partitions" {
				t.Config[setting] = value
			}
		}
		return t
	}
	config = topic("config", "connector configurations", true)
	plan = topic("config", "the plans of the workers' leader", true)
	plan.Name = planTopic(cfg)
	return config, plan, topic("status", "connector and task statuses", false), topic("offset", "source connector offsets", false)
}

// internals are the clients of the internal topics, and the logs that are opened once brokers answer.
type internals struct {
	cfg                  *runtime.WorkerConfig
	clients              translated
	admin                *kafka.Admin
	producer             *kafka.Producer
	config, plan, status *lateLog
	log                  *slog.Logger
	closers              []func(context.Context) error
}

// openInternals makes the clients and the membership of a worker; no connection is awaited. An error says which
// setting is wrong.
func openInternals(ctx context.Context, cfg *runtime.WorkerConfig, o *runtime.ClusterOptions, log *slog.Logger) (i *internals, err error) {
	i = &internals{cfg: cfg, config: newLateLog(), plan: newLateLog(), status: newLateLog(), log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.close(context.WithoutCancel(ctx)))
		}
	}()
	if i.clients, err = translate(cfg.ClientProperties(), log); err != nil {
		return i, err
	}
	props, token := i.clients.Properties, i.clients.token
	if i.admin, err = kafka.OpenAdmin(ctx, kafka.AdminConfig{Properties: props, Token: token, Log: log}); err != nil {
		return i, err
	}
	i.closers = append(i.closers, i.admin.Close)
	if i.producer, err = kafka.OpenProducer(ctx, kafka.ProducerConfig{Properties: props, Token: token, Log: log}); err != nil {
		return i, err
	}
	i.closers = append(i.closers, i.producer.Close)
	v := cfg.Values
	m, err := kafka.OpenMembership(kafka.MembershipConfig{
		Properties: props, Token: token, Group: o.Group, Topic: o.PlanTopic, ClientID: o.ClientID(),
		TransactionalID: "stepconnect-cluster-" + o.Group, Session: v.Duration("session.timeout.ms"),
		Heartbeat: v.Duration("heartbeat.interval.ms"), Rebalance: v.Duration("rebalance.timeout.ms"), Log: log,
	})
	if err != nil {
		return i, err
	}
	o.Membership, o.PlanLog = membership{m, i.admin, o.Group}, i.plan
	o.GroupMembers = cluster{i.admin}.GroupMembers
	return i, nil
}

// open makes the internal topics that are missing, checks those that exist, and opens their logs. Brokers that are
// down are waited for; starting is told what for.
func (i *internals) open(ctx context.Context, starting func(what string, err error)) error {
	starting("reaching the Kafka brokers at "+i.clients.Properties["bootstrap.servers"], nil)
	config, plan, status, offsets := internalTopics(i.cfg)
	for _, o := range []struct {
		topic    kafka.InternalTopic
		log      *lateLog // nil: nothing is read
		producer *kafka.Producer
	}{{offsets, nil, nil}, {status, i.status, i.producer}, {config, i.config, nil}, {plan, i.plan, nil}} {
		partitions, err := kafka.EnsureTopic(ctx, i.admin, o.topic, i.log, func(err error) { starting("", err) })
		if err != nil {
			return err
		}
		if o.log == nil {
			continue
		}
		l, err := kafka.OpenTopicLog(ctx, kafka.TopicLogConfig{Properties: i.clients.Properties, Token: i.clients.token, Topic: o.topic.Name,
			Partitions: partitions, Admin: i.admin, Producer: o.producer, Log: i.log})
		if err != nil {
			return err
		}
		i.closers = append(i.closers, l.Close)
		o.log.open(l)
	}
	starting("reading the internal topics", nil)
	return nil
}

// close frees the clients, in the reverse order of their opening.
func (i *internals) close(ctx context.Context) error {
	var errs []error
	for _, closer := range slices.Backward(i.closers) {
		errs = append(errs, closer(ctx))
	}
	return errors.Join(errs...)
}

// membership is kafka.Membership as the runtime asks for it.
type membership struct {
	*kafka.Membership
	admin *kafka.Admin
	group string
}

func (m membership) Members(ctx context.Context) ([]runtime.Peer, bool, error) {
	g, err := m.admin.DescribeGroup(ctx, m.group)
	if err != nil {
		return nil, false, err
	}
	var peers []runtime.Peer
	for _, member := range g.Members {
		p := runtime.Peer{ClientID: member.ClientID, Host: member.Host}
		for _, part := range member.Partitions {
			p.Topics = append(p.Topics, part.Topic)
		}
		peers = append(peers, p)
	}
	return peers, g.State == "Stable", nil
}

// forwardClient reaches the other workers, over the TLS of the listeners where they have it.
func forwardClient(cfg *runtime.WorkerConfig) (*http.Client, error) {
	var secured *tls.Config
	if strings.HasPrefix(cfg.AdvertisedURL(nil), "https:") {
		var err error
		if secured, err = api.ClientTLS(cfg.Raw, "listeners.https."); err != nil {
			return nil, err
		}
	}
	dialer := net.Dialer{Timeout: 3 * time.Second}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: secured, TLSHandshakeTimeout: 5 * time.Second, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// ask gets a path of another worker, on behalf of the request that ctx belongs to.
func ask(client *http.Client) func(ctx context.Context, url, path string, into any) error {
	return func(ctx context.Context, url, path string, into any) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+path, nil)
		if err != nil {
			return err
		}
		for _, v := range api.Authorization(ctx) {
			req.Header.Add("Authorization", v)
		}
		return get(client, req, into)
	}
}

// maxAnswer bounds what is read of another worker's answer, in bytes.
const maxAnswer = 16 << 20

// get decodes the answer to a request for JSON.
func get(client *http.Client, req *http.Request, into any) error {
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return fmt.Errorf("%s answers %s: %s", req.URL, res.Status, strings.TrimSpace(string(text)))
	}
	return json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(into)
}

// nonceAt asks a worker which process it is.
func nonceAt(client *http.Client) func(ctx context.Context, url string) (string, error) {
	return func(ctx context.Context, url string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, url+"/health", nil)
		if err != nil {
			return "", err
		}
		res, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		if nonce := res.Header.Get(nonceHeader); nonce != "" {
			return nonce, nil
		}
		return "", fmt.Errorf("%s is no worker of this kind", url)
	}
}
