package runtime

import (
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
)

func standaloneRaw(kv ...string) map[string]string {
	raw := map[string]string{"key.converter": "K", "value.converter": "V", "offset.storage.file.filename": "/tmp/x"}
	for i := 0; i < len(kv); i += 2 {
		raw[kv[i]] = kv[i+1]
	}
	return raw
}

func TestListenersThatOthersReachNeedAuthentication(t *testing.T) {
	for _, tt := range []struct {
		name string
		kv   []string
		ok   bool
	}{
		{"unset means loopback", nil, true},
		{"localhost", []string{"listeners", "http://localhost:8083"}, true},
		{"IPv6 loopback", []string{"listeners", "http://[::1]:0"}, true},
		{"all interfaces", []string{"listeners", "http://:8083"}, false},
		{"an address of a network", []string{"listeners", "http://127.0.0.1:8083,https://10.0.0.1:8443"}, false},
		{"the admin listener counts too", []string{"admin.listeners", "http://0.0.0.0:9999"}, false},
		{"with users", []string{"listeners", "http://:8083", "rest.auth.basic.users.file", "/users"}, true},
		{"with tokens", []string{"listeners", "http://:8083", "rest.auth.bearer.tokens.file", "/tokens"}, true},
		{"with client certificates", []string{"listeners", "https://:8083", "ssl.client.auth", "required"}, true},
		{"with consent", []string{"listeners", "http://:8083", "rest.allow.unauthenticated", "true"}, true},
		{"not an address", []string{"listeners", "8083"}, false},
		{"an empty item", []string{"listeners", "http://localhost:1,"}, false},
		{"another scheme", []string{"listeners", "ftp://localhost:1"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := ParseWorkerConfig(t.Context(), standaloneRaw(tt.kv...), false, nil)
			if (err == nil) != tt.ok {
				t.Error(err)
			}
		})
	}
}

func TestTheAdvertisedAddressIsTheWorkersID(t *testing.T) {
	bound := func(string) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 41234} }
	for _, tt := range []struct {
		name  string
		kv    []string
		bound func(string) net.Addr
		url   string
	}{
		{"by default", nil, nil, "http://127.0.0.1:8083"},
		{"with a port that the system chose", []string{"listeners", "http://127.0.0.1:0"}, bound, "http://127.0.0.1:41234"},
		{"as told", []string{"rest.advertised.host.name", "w1.example", "rest.advertised.port", "80"}, bound, "http://w1.example:80"},
		{"http is preferred", []string{"listeners", "HTTPS://localhost:8443,HTTP://localhost:8083"}, nil, "http://localhost:8083"},
		{"https where it is asked for", []string{"listeners", "HTTP://localhost:8083,HTTPS://localhost:8443", "rest.advertised.listener", "https"}, nil, "https://localhost:8443"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, err := ParseWorkerConfig(t.Context(), standaloneRaw(tt.kv...), false, nil)
			must(t, err)
			if got := c.AdvertisedURL(tt.bound); got != tt.url || !strings.HasSuffix(got, "://"+c.WorkerID(tt.bound)) {
				t.Error(got, c.WorkerID(tt.bound))
			}
		})
	}
}

func TestAWorkerFileOfKafkaConnectIsReadAsItIs(t *testing.T) {
	// The keys of connect-distributed.properties as Kafka ships it, its comments' examples included.
	raw := map[string]string{
		"bootstrap.servers": "localhost:9092", "group.id": "connect-cluster",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true",
		"offset.storage.topic": "connect-offsets", "offset.storage.replication.factor": "1", "offset.storage.partitions": "25",
		"config.storage.topic": "connect-configs", "config.storage.replication.factor": "1",
		"status.storage.topic": "connect-status", "status.storage.replication.factor": "-1", "status.storage.partitions": "5",
		"offset.flush.interval.ms": "10000", "plugin.path": "/usr/local/share/java,/opt/connectors",
		"internal.key.converter": "org.apache.kafka.connect.json.JsonConverter", "scheduled.rebalance.max.delay.ms": "300000",
	}
	c, _, err := ParseWorkerConfig(t.Context(), raw, true, nil)
	must(t, err)
	if !c.Distributed || c.Values.Short("status.storage.replication.factor") != -1 || c.Raw["key.converter.schemas.enable"] != "true" {
		t.Errorf("%v", c.Values)
	}
	bad := maps.Clone(raw)
	bad["config.storage.replication.factor"] = "0"
	delete(bad, "group.id")
	_, _, err = ParseWorkerConfig(t.Context(), bad, true, nil)
	if err == nil || !strings.Contains(err.Error(), "group.id") || !strings.Contains(err.Error(), "Value must be at least 1, or -1") {
		t.Error(err)
	}
}

func TestEveryWorkerKeyIsDocumented(t *testing.T) {
	for _, distributed := range []bool{false, true} {
		for _, k := range WorkerDef(distributed).Keys() {
			if k.Doc == "" || k.Group == "" {
				t.Errorf("%s lacks words or a group", k.Name)
			}
		}
	}
}

func TestPluginsAreFoundByEveryNameThatKafkaConnectTakes(t *testing.T) {
	p, err := NewPlugins(testPlugins(&probe{}))
	must(t, err)
	for _, class := range []string{"org.apache.kafka.connect.file.FileStreamSinkConnector", "FileStreamSinkConnector", "FileStreamSink"} {
		if _, r, err := p.sink(class); err != nil || r.info.Class != "org.apache.kafka.connect.file.FileStreamSinkConnector" {
			t.Error(class, r.info, err)
		}
	}
	for _, tt := range []struct{ kind, class, want string }{
		{"converter", "String", ""}, {"converter", "StringConverter", ""}, {"header_converter", "org.apache.kafka.connect.storage.StringConverter", ""},
		{"transformation", "RegexRouter", ""}, {"transformation", "org.apache.kafka.connect.transforms.ExtractField$Value", ""}, {"transformation", "ExtractField$Value", ""},
		{"transformation", "org.apache.kafka.connect.transforms.ExtractField", "This class is abstract and cannot be created. Did you mean org.apache.kafka.connect.transforms.ExtractField$Value?"},
		{"converter", "org.apache.kafka.connect.transforms.Filter", "Class class org.apache.kafka.connect.transforms.Filter does not implement the Converter interface"},
		{"converter", "FileStreamSink", "Class class org.apache.kafka.connect.file.FileStreamSinkConnector does not implement the Converter interface"},
		{"converter", "Nobody", "no plugin has this class"},
	} {
		_, err := p.find(tt.kind, tt.class)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
			t.Errorf("%s %s: %v", tt.kind, tt.class, err)
		}
	}
	twice := testPlugins(&probe{})
	twice.Converters = append(twice.Converters, twice.Converters[0])
	if _, err := NewPlugins(twice); err == nil || !strings.Contains(err.Error(), "two plugins of kind converter") {
		t.Error(err)
	}
	list := []string{}
	for _, i := range p.infos {
		list = append(list, i.Type)
	}
	if !slices.IsSortedFunc(list, func(a, b string) int { return kindOrder(a) - kindOrder(b) }) {
		t.Error(list)
	}
}

func TestPluginVersionsAreMatchedAsMavenRanges(t *testing.T) {
	for _, tt := range []struct {
		have, want string
		ok         bool
	}{
		{"1.2.0", "", true}, {"1.2.0", "latest", true}, {"1.2.0", "1.2.0", true}, {"1.2.0", "1.2", true}, {"1.2.0", "99.0", false},
		{"1.2.0", "[1.0,2.0)", true}, {"2.0", "[1.0,2.0)", false}, {"2.0", "[1.0,2.0]", true}, {"1.0", "(1.0,)", false}, {"10.0", "[9,)", true},
		{"1.0-SNAPSHOT", "[1.0,)", false}, {"1.0", "[", false},
		{"1.5", "(,1.0],[1.2,)", true}, {"1.1", "(,1.0],[1.2,)", false}, {"0.9", "(,1.0],[1.2,)", true}, {"1.0", "[1.0]", true}, {"1.0", "(1.0)", false},
		{"1.0", "[1.0,2.0", false}, {"1.0", "1.0,2.0", false}, {"1.0", "[,]", true}, {"1.0", "[]", false}, {"1.0", "[1.0] x", false},
	} {
		r := pluginRef{}
		r.info.Class, r.info.Version = "X", tt.have
		if err := checkVersion(r, tt.want); (err == nil) != tt.ok {
			t.Errorf("%s in %s: %v", tt.have, tt.want, err)
		}
	}
	r := pluginRef{}
	r.info.Class, r.info.Version = "X", "4.3.1"
	if err := checkVersion(r, "99.0"); err == nil || err.Error() != "Plugin X not found that matches the version range [99.0,99.0], available versions: [4.3.1]" {
		t.Error(err)
	}
}
