package runtime

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime/metric"
)

// Groups of a worker's keys, as docs/CONFIG.md shows them.
const (
	groupWorker      = "Worker"
	groupOffsets     = "Offsets and shutdown"
	groupTopics      = "Topics"
	groupPlugins     = "Plugins and providers"
	groupRest        = "REST"
	groupRestAuth    = "REST authentication"
	groupCluster     = "Cluster"
	groupInternal    = "Internal topics"
	groupStandalone  = "Standalone"
	groupFiles       = "Connector files"
	groupMetrics     = "Metrics"
	groupLetThrough  = "Accepted without effect"
	defaultListener  = "http://127.0.0.1:8083"
	policyAll        = "All"
	policyNone       = "None"
	policyPrincipal  = "Principal"
	policyAllowlist  = "Allowlist"
	hiddenKeyDefault = "HmacSHA256"
)

// WorkerDef declares the keys of a worker's configuration: Kafka Connect's (WorkerConfig,
// DistributedConfig, StandaloneConfig of 4.3) and ours. Keys of clients, converters and providers,
// which have prefixes, are free.
func WorkerDef(distributed bool) *config.Def {
	keys := slices.Concat(workerKeys(), fileKeys(), restKeys(), restAuthKeys(), metricsKeys(), acceptedKeys())
	if distributed {
		keys = slices.Concat(keys, distributedKeys())
	} else {
		keys = append(keys, config.Key{Name: "offset.storage.file.filename", Required: true, Group: groupStandalone, Width: config.WidthLong,
			Doc: "File that keeps the replay epochs of connectors whose offsets were altered. Kafka Connect keeps source offsets in it."})
	}
	return config.New(keys...).Cross(listenerRules)
}

func ms(name string, def int, group, doc string) config.Key {
	return config.Key{Name: name, Type: config.Long, Default: def, Importance: config.Low, Unit: "ms", Group: group, Width: config.WidthMedium, Doc: doc}
}

func workerKeys() []config.Key {
	k := []config.Key{
		{Name: "bootstrap.servers", Type: config.List, Default: []string{"localhost:9092"}, Group: groupWorker, Width: config.WidthLong, Doc: "Brokers to reach the Kafka cluster by, host:port."},
		{Name: "key.converter", Type: config.Class, Required: true, Group: groupWorker, Width: config.WidthShort, Doc: "Class that turns keys from bytes into values, for connectors that name none; its own keys follow as key.converter.*."},
		{Name: "value.converter", Type: config.Class, Required: true, Group: groupWorker, Width: config.WidthShort, Doc: "Class that turns values from bytes into values, for connectors that name none; its own keys follow as value.converter.*."},
		{Name: "header.converter", Type: config.Class, Default: simpleHeaders, Importance: config.Low, Group: groupWorker, Width: config.WidthShort, Doc: "Class that turns headers from bytes into values, for connectors that name none."},
		{Name: "client.rack", Importance: config.Low, Group: groupWorker,
			Doc: "Where this worker stands, in the words of the brokers' broker.rack: its tasks fetch from replicas there, as far as the brokers' replica.selector.class lets them (KIP-392). Kafka Connect has it as consumer.client.rack, which wins over this one, as does consumer.override.client.rack of a connector."},
		{Name: "client.rack.aliases", Type: config.List, Importance: config.Low, Group: groupWorker, Width: config.WidthLong, Validate: config.Func("name:rack", rackAliases),
			Doc: "Other names of racks, each as name:rack. A client.rack that is one of the names stands for its rack: Kubernetes tells zones by name (sa-east-1a), Amazon MSK calls its racks by the ids of zones (sae1-az1)."},
		{Name: "client.dns.lookup", Default: "use_all_dns_ips", Validate: config.OneOf("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"), Importance: config.Medium, Group: groupWorker, Doc: "How the client uses DNS."},
		ms("task.shutdown.graceful.timeout.ms", 5000, groupOffsets, "How long tasks may take to end orderly; all of a worker's together."),
		ms("offset.flush.interval.ms", 60000, groupOffsets, "How often tasks commit their offsets."),
		ms("offset.flush.timeout.ms", 5000, groupOffsets, "How long a commit may take before it counts as failed."),
		{Name: "topic.tracking.enable", Type: config.Boolean, Default: true, Importance: config.Low, Group: groupTopics, Doc: "Whether the topics that connectors read are recorded."},
		{Name: "topic.tracking.allow.reset", Type: config.Boolean, Default: true, Importance: config.Low, Group: groupTopics, Doc: "Whether the recorded topics may be reset by REST."},
		{Name: "topic.creation.enable", Type: config.Boolean, Default: true, Importance: config.Low, Group: groupTopics, Doc: "For source connectors; without effect here."},
		{Name: "config.providers", Type: config.List, Default: []string{}, Validate: config.UniqueValues, Importance: config.Low, Group: groupPlugins, Doc: "Names of the config providers; each has config.providers.<name>.class and config.providers.<name>.param.*."},
		{Name: "connector.client.config.override.policy", Default: policyAll, Importance: config.Medium, Group: groupPlugins, Validate: config.Func("All, None, Principal or Allowlist", checkPolicy), Doc: "Which client properties a connector may override: All, None, Principal (sasl.jaas.config, sasl.mechanism, security.protocol) or Allowlist."},
		{Name: "connector.client.config.override.allowlist", Type: config.List, Default: []string{}, Importance: config.Medium, Group: groupPlugins, Doc: "Client properties that a connector may override under the policy Allowlist."},
	}
	for i := range k {
		if k[i].Type == config.Long {
			k[i].Validate = config.AtLeast(0)
		}
	}
	return k
}

func fileKeys() []config.Key {
	return []config.Key{
		{Name: "connector.files.dir", Importance: config.Medium, Group: groupFiles, Width: config.WidthLong,
			Doc: "Folder whose .json and .properties files declare connectors, one each; a mounted ConfigMap will do. The leader keeps the connectors as the files say, and their configuration can then not be written by REST (409). Unset: no folder. All workers of a cluster name the same."},
		{Name: "connector.files.prune", Type: config.Boolean, Default: false, Importance: config.Medium, Group: groupFiles,
			Doc: "Whether a connector is deleted when its file is removed. Without it the connector goes on and can be changed by REST."},
		{Name: "connector.files.interval.ms", Type: config.Long, Default: 5000, Validate: config.AtLeast(100), Importance: config.Low, Unit: "ms", Group: groupFiles, Doc: "How often the folder is looked at."},
	}
}

func restKeys() []config.Key {
	return []config.Key{
		{Name: "listeners", Type: config.List, Default: []string{defaultListener}, Validate: config.Func("list of http://host:port or https://host:port", checkListeners), Importance: config.Low, Group: groupRest, Width: config.WidthLong,
			Doc: "Addresses that the REST API listens on. Kafka Connect listens on all interfaces; here another address than loopback needs authentication, or rest.allow.unauthenticated."},
		{Name: "admin.listeners", Type: config.List, Validate: config.Func("list of http://host:port or https://host:port", checkListeners), Importance: config.Low, Group: groupRest, Width: config.WidthLong,
			Doc: "Addresses for /admin apart from the others. Unset: the same as listeners; empty: /admin is off."},
		{Name: "rest.advertised.host.name", Importance: config.Low, Group: groupRest, Doc: "Host under which other workers and clients reach this one."},
		{Name: "rest.advertised.port", Type: config.Int, Validate: nullOr(config.Between(0, 65535)), Importance: config.Low, Group: groupRest, Doc: "Port under which other workers and clients reach this one."},
		{Name: "rest.advertised.listener", Validate: nullOr(config.OneOf("http", "https")), Importance: config.Low, Group: groupRest, Doc: "Which listener other workers use: http or https. Default: http where there is one."},
		{Name: "access.control.allow.origin", Default: "", Importance: config.Low, Group: groupRest, Doc: "Origins that web pages may come from, for cross-origin requests."},
		{Name: "access.control.allow.methods", Default: "", Importance: config.Low, Group: groupRest, Doc: "Methods that cross-origin requests may use."},
		{Name: "response.http.headers.config", Default: "", Importance: config.Low, Group: groupRest, Width: config.WidthLong, Doc: "Headers of every response: comma list of [set|add|setDate|addDate] name: value."},
		{Name: "rest.extension.classes", Type: config.List, Default: []string{}, Importance: config.Low, Group: groupRest, Doc: "Kafka Connect's Java extensions. Only its basic-auth extension is known, and stands for rest.auth.basic.users.file."},
		{Name: "ssl.client.auth", Default: "none", Validate: config.OneOf("required", "requested", "none"), Importance: config.Low, Group: groupRest, Doc: "Whether the https listeners ask for, or require, a client certificate."},
	}
}

func restAuthKeys() []config.Key {
	return []config.Key{
		{Name: "rest.allow.unauthenticated", Type: config.Boolean, Default: false, Importance: config.Medium, Group: groupRestAuth, Doc: "Consent to serve the REST API without authentication on an address that others can reach."},
		{Name: "rest.auth.basic.users.file", Importance: config.Medium, Group: groupRestAuth, Width: config.WidthLong, Doc: "File of users: name, hashed password and role, one a line."},
		{Name: "rest.auth.bearer.tokens.file", Importance: config.Medium, Group: groupRestAuth, Width: config.WidthLong, Doc: "File of bearer tokens: hashed token and role, one a line."},
		{Name: "rest.open.paths", Type: config.List, Default: []string{}, Importance: config.Low, Group: groupRestAuth, Width: config.WidthLong, Doc: "Paths that need no authentication, such as /health and /metrics."},
	}
}

func metricsKeys() []config.Key {
	return []config.Key{
		{Name: "metrics.emf.enable", Type: config.Boolean, Default: false, Importance: config.Low, Group: groupMetrics,
			Doc: "Whether metrics are written as lines in CloudWatch's embedded metric format; docs/METRICS.md lists them."},
		{Name: "metrics.emf.interval.ms", Type: config.Long, Default: 60000, Validate: config.AtLeast(1000), Importance: config.Low, Unit: "ms", Group: groupMetrics,
			Doc: "How often these lines are written. Sums in CloudWatch are right over periods of this length."},
		{Name: "metrics.emf.namespace", Default: "StepConnect", Validate: config.NonEmptyString, Importance: config.Low, Group: groupMetrics,
			Doc: "CloudWatch namespace of the metrics."},
		{Name: "metrics.emf.destination", Default: "stdout", Importance: config.Low, Group: groupMetrics, Width: config.WidthLong,
			Validate: config.Func("stdout, a file, tcp://host:port or udp://host:port", func(name string, value any) error {
				text, _ := value.(string)
				if err := metric.CheckDestination(text); err != nil {
					return config.Invalid(name, value, err.Error())
				}
				return nil
			}),
			Doc: "Where these lines go: stdout, for a log driver that sends it to CloudWatch Logs; a file, which is appended to; or the socket of a CloudWatch agent, such as tcp://127.0.0.1:25888."},
	}
}

// acceptedKeys are Kafka Connect's keys that mean nothing to this worker; files that set them are valid.
func acceptedKeys() []config.Key {
	var keys []config.Key
	for _, name := range []string{"plugin.path", "plugin.discovery", "metric.reporters", "metrics.num.samples", "metrics.recording.level",
		"metrics.sample.window.ms", "internal.key.converter", "internal.value.converter"} {
		keys = append(keys, config.Key{Name: name, Importance: config.Low, Group: groupLetThrough, Doc: "Kafka Connect's; without effect here."})
	}
	return keys
}

func distributedKeys() []config.Key {
	topic := func(kind, doc string, partitions int) []config.Key {
		keys := []config.Key{
			{Name: kind + ".storage.topic", Required: true, Group: groupInternal, Doc: "Topic that keeps " + doc + "; compacted, and created where it is missing."},
			{Name: kind + ".storage.replication.factor", Type: config.Short, Default: 3, Validate: config.Func("positive, or -1 for the broker's default", checkPositiveOrDefault), Importance: config.Low, Group: groupInternal, Doc: "Replication factor of that topic where it is created; -1 is the broker's default."},
		}
		if partitions > 0 {
			keys = append(keys, config.Key{Name: kind + ".storage.partitions", Type: config.Int, Default: partitions, Validate: config.Func("positive, or -1 for the broker's default", checkPositiveOrDefault), Importance: config.Low, Group: groupInternal, Doc: "Partitions of that topic where it is created; -1 is the broker's default."})
		}
		return keys
	}
	interval := func(name string, def int, doc string) config.Key {
		return config.Key{Name: name, Type: config.Int, Default: def, Validate: config.AtLeast(0), Importance: config.Low, Unit: "ms", Group: groupCluster, Doc: doc}
	}
	keys := []config.Key{
		{Name: "group.id", Required: true, Validate: config.NonEmptyString, Group: groupCluster, Doc: "Name of the cluster: its consumer group, which no connector's may be."},
		interval("session.timeout.ms", 10000, "How long a worker may be silent before its tasks move to others."),
		interval("heartbeat.interval.ms", 1000, "How often a worker says that it lives, and hears that others came or went. Kafka Connect's default is 3000."),
		interval("rebalance.timeout.ms", 60000, "How long workers may take to join a rebalance."),
		interval("scheduled.rebalance.max.delay.ms", 0, "How long the tasks of a worker that left wait for it to come back. Kafka Connect's default is 300000."),
		interval("worker.sync.timeout.ms", 3000, "How long a worker may take to read the config topic before it leaves."),
		interval("worker.unsync.backoff.ms", 300000, "How long a worker that could not keep up stays away."),
		{Name: "connect.protocol", Default: "sessioned", Validate: config.OneOfFold("eager", "compatible", "sessioned"), Importance: config.Low, Group: groupCluster, Doc: "Kafka Connect's protocol between JVM workers; sessioned guards the internal endpoints."},
		{Name: "exactly.once.source.support", Default: "disabled", Validate: config.OneOfFold("disabled", "preparing", "enabled"), Importance: config.Low, Group: groupCluster, Doc: "For source connectors; without effect here."},
		{Name: "inter.worker.key.generation.algorithm", Default: hiddenKeyDefault, Importance: config.Low, Group: groupCluster, Doc: "Kafka Connect's; without effect here."},
		{Name: "inter.worker.key.size", Type: config.Int, Importance: config.Low, Group: groupCluster, Doc: "Kafka Connect's; without effect here."},
		{Name: "inter.worker.key.ttl.ms", Type: config.Int, Default: 3600000, Importance: config.Low, Group: groupCluster, Unit: "ms", Doc: "Kafka Connect's; without effect here."},
		{Name: "inter.worker.signature.algorithm", Default: hiddenKeyDefault, Importance: config.Low, Group: groupCluster, Doc: "Kafka Connect's; without effect here."},
		{Name: "inter.worker.verification.algorithms", Type: config.List, Default: []string{hiddenKeyDefault}, Importance: config.Low, Group: groupCluster, Doc: "Kafka Connect's; without effect here."},
	}
	return slices.Concat(keys, topic("config", "configurations (a second one, of that name with -members added, keeps who is in the cluster and who runs what)", 0), topic("offset", "source offsets", 25), topic("status", "statuses", 5))
}

func checkPositiveOrDefault(name string, value any) error {
	n := fmt.Sprint(value)
	if value == nil || n == "0" || strings.HasPrefix(n, "-") && n != "-1" {
		return config.Invalid(name, value, "Value must be at least 1, or -1 to use the broker's default")
	}
	return nil
}

// nullOr lets a null through, which is what the key has when it is not set.
func nullOr(v config.Validator) config.Validator {
	return config.Func(v.String(), func(name string, value any) error {
		if value == nil {
			return nil
		}
		return v.Check(name, value)
	})
}

func checkPolicy(name string, value any) error {
	s, _ := value.(string)
	if _, ok := policyName(s); ok {
		return nil
	}
	return config.Invalid(name, value, "it must be one of All, None, Principal, Allowlist")
}

// policyName gives the short name of an override policy for it or for Kafka's class.
func policyName(s string) (string, bool) {
	s = strings.TrimPrefix(s, "org.apache.kafka.connect.connector.policy.")
	s = strings.TrimSuffix(s, "ConnectorClientConfigOverridePolicy")
	for _, p := range []string{policyAll, policyNone, policyPrincipal, policyAllowlist} {
		if s == p {
			return p, true
		}
	}
	return "", false
}

func checkListeners(name string, value any) error {
	items, _ := value.([]string)
	for _, l := range items {
		if strings.TrimSpace(l) == "" {
			return config.Invalid(name, value, "Empty listener found when parsing list.")
		}
		u, err := url.Parse(l)
		if err != nil || u.Host == "" || u.Port() == "" {
			return config.Invalid(name, value, "Listener "+l+" is not like http://host:port.")
		}
		if s := strings.ToLower(u.Scheme); s != "http" && s != "https" {
			return config.Invalid(name, value, "Listener scheme should be either http or https.")
		}
	}
	return nil
}

// listenerRules refuse to serve the API to everybody by accident, and to advertise what is not there.
func listenerRules(v config.Values) map[string][]string {
	errs := map[string][]string{}
	if !v.Valid("listeners") {
		return errs
	}
	secured := v.Has("rest.auth.basic.users.file") || v.Has("rest.auth.bearer.tokens.file") || v.Bool("rest.allow.unauthenticated") ||
		v.String("ssl.client.auth") == "required" || v.Raw()["listeners.https.ssl.client.auth"] == "required"
	for _, name := range []string{"listeners", "admin.listeners"} {
		if !v.Valid(name) {
			continue
		}
		for _, l := range v.List(name) {
			if !secured && !loopback(l) {
				errs[name] = append(errs[name], fmt.Sprintf("%s: %s can be reached from other hosts without authentication; set rest.auth.basic.users.file or rest.auth.bearer.tokens.file, listen on 127.0.0.1, or set rest.allow.unauthenticated=true", name, l))
			}
		}
	}
	return errs
}

func loopback(listener string) bool {
	u, err := url.Parse(listener)
	if err != nil {
		return false
	}
	if strings.EqualFold(u.Hostname(), "localhost") {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}
