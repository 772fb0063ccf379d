package stack

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const kafkaName = "kafka 4.3.1"

// jvmFlags keep a Java server small and quick to start.
var jvmFlags = []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx384m"}

const log4j = `<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %-5p %c{1} %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
`

// requestLogger is the broker's own log of what it was asked and what it answered, without records.
const requestLogger = `<Logger name="kafka.request.logger" level="DEBUG"/>`

// brokerProperties are the same for all nodes: small, and quick where Kafka's defaults wait.
const brokerProperties = `process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=4194304
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=8
share.coordinator.state.topic.num.partitions=2
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=200
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
`

// KafkaCluster is a set of brokers, each a controller too.
type KafkaCluster struct {
	// Nodes in the order of their ids, which start with 1.
	Nodes []*Server
	// Authority signed the brokers' certificates, and with WithClientCertificates signs those of clients; nil without TLS.
	Authority *Authority

	dir   string
	ports []*port
}

// KafkaOption changes how PrivateKafka sets up its brokers.
type KafkaOption func(*kafkaOptions)

type kafkaOptions struct {
	scram    map[string]string
	oauth    bool
	iam      *IAMTokens
	tls      bool
	racks    []string
	requests bool
	extra    map[string]string
}

// WithSCRAM makes clients log in by SASL/SCRAM-SHA-512 and makes one user; give it again for more.
func WithSCRAM(user, password string) KafkaOption {
	return func(o *kafkaOptions) { o.scram[user] = password }
}

// WithOAuthBearer makes clients log in by SASL/OAUTHBEARER. The brokers take Kafka's unsecured tokens: JSON web tokens
// with "alg":"none", whose "exp" they look at. A connection ends reauthenticate after its last log-in.
func WithOAuthBearer(reauthenticate time.Duration) KafkaOption {
	return func(o *kafkaOptions) {
		o.oauth = true
		o.extra["connections.max.reauth.ms"] = strconv.FormatInt(reauthenticate.Milliseconds(), 10)
	}
}

// IAMTokens says which tokens of Amazon MSK's IAM brokers take: of that access key, signed with that secret for that
// region, until they are Life old, whatever they say themselves.
type IAMTokens struct {
	AccessKey, Secret, Region string
	Life                      time.Duration
}

// WithIAM is WithOAuthBearer with tokens of Amazon MSK's IAM.
func WithIAM(tokens IAMTokens, reauthenticate time.Duration) KafkaOption {
	return func(o *kafkaOptions) {
		WithOAuthBearer(reauthenticate)(o)
		o.iam = &tokens
		o.extra["listener.name.client.oauthbearer.sasl.server.callback.handler.class"] = "stepconnect.test.IAMValidator"
	}
}

// WithTLS makes clients connect by TLS; the brokers' certificate is for 127.0.0.1 and
// localhost, signed by KafkaCluster.Authority.
func WithTLS() KafkaOption { return func(o *kafkaOptions) { o.tls = true } }

// WithClientCertificates is WithTLS, and asks clients for a certificate of KafkaCluster.Authority.
func WithClientCertificates() KafkaOption {
	return func(o *kafkaOptions) {
		o.tls = true
		o.extra["listener.name.client.ssl.client.auth"] = "required"
	}
}

// WithRacks puts the nodes into racks, in the order of their ids, and lets consumers fetch from the replica in their own.
func WithRacks(racks ...string) KafkaOption {
	return func(o *kafkaOptions) {
		o.racks = racks
		o.extra["replica.selector.class"] = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
	}
}

// WithRequestLog makes nodes log each request with its answer, as JSON ([Server.Log]).
func WithRequestLog() KafkaOption { return func(o *kafkaOptions) { o.requests = true } }

// WithProperty sets a line of server.properties on every node.
func WithProperty(key, value string) KafkaOption {
	return func(o *kafkaOptions) { o.extra[key] = value }
}

// protocol is the value of security.protocol that clients need.
func (o *kafkaOptions) protocol() string {
	switch {
	case o.tls && o.sasl() != "":
		return "SASL_SSL"
	case o.tls:
		return "SSL"
	case o.sasl() != "":
		return "SASL_PLAINTEXT"
	default:
		return "PLAINTEXT"
	}
}

// sasl is the mechanism by which clients log in, "" for none.
func (o *kafkaOptions) sasl() string {
	switch {
	case o.oauth:
		return "OAUTHBEARER"
	case len(o.scram) > 0:
		return "SCRAM-SHA-512"
	}
	return ""
}

// Bootstrap is the value of bootstrap.servers: all nodes.
func (c *KafkaCluster) Bootstrap() string {
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr()
	}
	return strings.Join(addrs, ",")
}

// close ends all nodes and removes their data.
func (c *KafkaCluster) close() {
	for _, n := range c.Nodes {
		n.Kill()
	}
	releasePorts(c.ports)
	_ = os.RemoveAll(c.dir)
}

// kafka sets up and starts a cluster of n nodes.
func (s *setup) kafka(ctx context.Context, n int, opts ...KafkaOption) (*KafkaCluster, error) {
	o := &kafkaOptions{scram: map[string]string{}, extra: map[string]string{}}
	for _, opt := range opts {
		opt(o)
	}
	jars, err := s.install(ctx, "kafka.xml", s.jars)
	if err != nil {
		return nil, err
	}
	command, err := s.java(ctx)
	if err != nil {
		return nil, err
	}
	c, err := newKafkaCluster(ctx, n, o)
	if err != nil {
		return nil, err
	}
	java, classes, err := s.brokerClasses(ctx, command, jars, c.dir, o)
	if err != nil {
		c.close()
		return nil, err
	}
	if err := c.start(ctx, java, classes, o); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// iamValidator is the source of a broker's own check of tokens.
//
//go:embed IAMValidator.java
var iamValidator []byte

// brokerClasses gives the start of a broker's command, and its class path.
func (s *setup) brokerClasses(ctx context.Context, java, jars, dir string, o *kafkaOptions) (command []string, classes string, err error) {
	command, classes = append([]string{java}, jvmFlags...), filepath.Join(jars, "*")
	if o.iam == nil {
		return command, classes, nil
	}
	compiler, err := s.install(ctx, "ecj.xml", s.jars)
	if err != nil {
		return nil, "", err
	}
	source, out := filepath.Join(dir, "IAMValidator.java"), filepath.Join(dir, "classes")
	if err := os.WriteFile(source, iamValidator, 0o644); err != nil {
		return nil, "", fmt.Errorf("set up kafka: %w", err)
	}
	clients, err := filepath.Glob(filepath.Join(jars, "kafka-clients-*.jar"))
	if err != nil || len(clients) != 1 {
		return nil, "", fmt.Errorf("set up kafka: %d jars of kafka-clients, want 1 (%w)", len(clients), err)
	}
	compile := exec.CommandContext(ctx, java, "-cp", filepath.Join(compiler, "*"), "org.eclipse.jdt.internal.compiler.batch.Main", "--release", "21", "-cp", clients[0], "-d", out, source)
	if err := runQuietly(compile); err != nil {
		return nil, "", fmt.Errorf("compile IAMValidator: %w", err)
	}
	for key, value := range map[string]string{"access.key": o.iam.AccessKey, "secret": o.iam.Secret, "region": o.iam.Region, "life.ms": strconv.FormatInt(o.iam.Life.Milliseconds(), 10)} {
		command = append(command, "-Dstepconnect.iam."+key+"="+value)
	}
	return command, out + string(os.PathListSeparator) + classes, nil
}

// newKafkaCluster reserves ports and writes every node's files; nothing runs yet.
func newKafkaCluster(ctx context.Context, n int, o *kafkaOptions) (*KafkaCluster, error) {
	dir, err := os.MkdirTemp("", "stepconnect-kafka-")
	if err != nil {
		return nil, fmt.Errorf("folder for kafka: %w", err)
	}
	c := &KafkaCluster{dir: dir}
	// Client, internal and controller listener of each node.
	if c.ports, err = takePorts(ctx, 3*n); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if o.tls {
		if c.Authority, err = newAuthority(filepath.Join(dir, "ca.pem")); err == nil {
			err = c.Authority.Issue(c.serverFile(), serverName, c.Authority.certificate.NotAfter)
		}
	}
	logging := log4j
	if o.requests {
		logging = strings.Replace(log4j, "<Loggers>", "<Loggers>"+requestLogger, 1)
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(dir, "log4j2.xml"), []byte(logging), 0o644))
	for i := range n {
		err = errors.Join(err, os.WriteFile(c.propertiesFile(i), []byte(c.properties(i, o)), 0o600))
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("set up kafka: %w", err)
	}
	return c, nil
}

func (c *KafkaCluster) propertiesFile(i int) string {
	return filepath.Join(c.dir, fmt.Sprintf("node-%d.properties", i+1))
}

// properties gives server.properties of a node. Brokers talk to each other in the clear: only
// the clients' listener is what tests are about.
func (c *KafkaCluster) properties(i int, o *kafkaOptions) string {
	nodes := len(c.ports) / 3
	own := c.ports[3*i : 3*i+3]
	voters := make([]string, nodes)
	for j := range voters {
		voters[j] = fmt.Sprintf("%d@%s", j+1, c.ports[3*j+2].addr())
	}
	var b strings.Builder
	b.WriteString(brokerProperties)
	set := func(key, value string) { fmt.Fprintf(&b, "%s=%s\n", key, value) }
	set("node.id", strconv.Itoa(i+1))
	if len(o.racks) > 0 {
		set("broker.rack", o.racks[i])
	}
	set("log.dirs", filepath.Join(c.dir, fmt.Sprintf("data-%d", i+1)))
	set("controller.quorum.voters", strings.Join(voters, ","))
	set("listeners", fmt.Sprintf("CLIENT://%s,INTERNAL://%s,CONTROLLER://%s", own[0].addr(), own[1].addr(), own[2].addr()))
	set("listener.security.protocol.map", "CLIENT:"+o.protocol()+",INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT")
	replicas, inSync := strconv.Itoa(min(nodes, 3)), strconv.Itoa(max(1, min(nodes, 3)-1))
	for _, topic := range []string{"transaction.state.log", "share.coordinator.state.topic"} {
		set(topic+".replication.factor", replicas)
		set(topic+".min.isr", inSync)
	}
	set("offsets.topic.replication.factor", replicas)
	set("default.replication.factor", replicas)
	if m := o.sasl(); m != "" {
		set("sasl.enabled.mechanisms", m)
	}
	if o.oauth {
		set("listener.name.client.oauthbearer.sasl.jaas.config",
			`org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`)
	} else if len(o.scram) > 0 {
		set("listener.name.client.scram-sha-512.sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required;")
	}
	if o.tls {
		set("listener.name.client.ssl.keystore.type", "PEM")
		set("listener.name.client.ssl.keystore.location", c.serverFile())
		set("listener.name.client.ssl.truststore.type", "PEM")
		set("listener.name.client.ssl.truststore.location", c.Authority.File)
	}
	for key, value := range o.extra {
		set(key, value)
	}
	return b.String()
}

// start formats the nodes' storage, starts them all and waits until each sees all of them.
func (c *KafkaCluster) start(ctx context.Context, java []string, classes string, o *kafkaOptions) error {
	java = append(java, "-Dlog4j2.configurationFile="+filepath.Join(c.dir, "log4j2.xml"), "-cp", classes)
	id, err := newClusterID()
	if err != nil {
		return err
	}
	nodes := len(c.ports) / 3
	for i := range nodes {
		name := kafkaName
		if nodes > 1 {
			name = fmt.Sprintf("%s node %d", kafkaName, i+1)
		}
		internal := c.ports[3*i+1].addr()
		c.Nodes = append(c.Nodes, &Server{addr: c.ports[3*i].addr(), spec: spec{
			name:  name,
			argv:  slices.Concat(java, []string{"kafka.Kafka", c.propertiesFile(i)}),
			dir:   c.dir,
			log:   filepath.Join(c.dir, fmt.Sprintf("node-%d.log", i+1)),
			ready: func(ctx context.Context) error { return registered(ctx, internal, i+1) },
			stop:  syscall.SIGTERM,
		}})
	}
	g, gctx := errgroup.WithContext(ctx)
	for i, node := range c.Nodes {
		g.Go(func() error {
			if err := formatStorage(gctx, java, c.propertiesFile(i), id, o); err != nil {
				return err
			}
			return node.Start(gctx)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.awaitAll(ctx)
}

// awaitAll waits until the first node's metadata lists every node.
func (c *KafkaCluster) awaitAll(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		seen, err := brokersSeenBy(ctx, c.ports[1].addr())
		if err == nil && len(seen) == len(c.Nodes) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kafka lists %d of %d nodes (%w): %w", len(seen), len(c.Nodes), err, ctx.Err())
		case <-tick.C:
		}
	}
}

func formatStorage(ctx context.Context, java []string, properties, id string, o *kafkaOptions) error {
	args := slices.Concat(java[1:], []string{"kafka.tools.StorageTool", "format", "--config", properties, "--cluster-id", id})
	for user, password := range o.scram {
		args = append(args, "--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", user, password))
	}
	cmd := exec.CommandContext(ctx, java[0], args...)
	cmd.Env = baseEnv()
	if err := runQuietly(cmd); err != nil {
		return fmt.Errorf("format kafka's storage: %w", err)
	}
	return nil
}

// kafkaTool runs a class of Kafka's tools.
func (s *setup) kafkaTool(ctx context.Context, class string, args ...string) (string, error) {
	jars, err := s.install(ctx, "kafka.xml", s.jars)
	if err != nil {
		return "", err
	}
	java, err := s.java(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, java, slices.Concat(jvmFlags, []string{"-cp", filepath.Join(jars, "*"), class}, args)...)
	cmd.Env = baseEnv()
	out, err := cmd.CombinedOutput()
	if err == nil && strings.Contains(string(out), "Error:") { // which these tools print, and end with status 0
		err = errors.New("it reports an error")
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w:\n%s", class, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// newClusterID gives a random id in Kafka's form: 16 bytes in URL-safe base64 without padding.
func newClusterID() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("cluster id: %w", err)
	}
	id[0] &= 0x7f // no leading '-': the storage tool would take it for an option
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// registered is nil once the broker of that id is among those that it tells clients of.
func registered(ctx context.Context, addr string, id int) error {
	seen, err := brokersSeenBy(ctx, addr)
	if err != nil {
		return err
	}
	for _, b := range seen {
		if int(b.NodeID) == id {
			return nil
		}
	}
	return fmt.Errorf("broker %d has not registered yet", id)
}

func brokersSeenBy(ctx context.Context, addr string) (kadm.BrokerDetails, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0), kgo.DialTimeout(time.Second))
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", addr, err)
	}
	defer client.Close()
	meta, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", addr, err)
	}
	return meta.Brokers, nil
}
