package kafka

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"
	"github.com/magiconair/properties"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s is not what came out (-want +got, rewrite with -update):\n%s", file, d)
	}
}

// TestTranslatesWorkerFiles reads the files of testdata/java, of the kind people run, and compares
// what becomes of their client properties, or the error, with the golden file beside each.
func TestTranslatesWorkerFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/java/*.properties")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".properties"), func(t *testing.T) {
			l := properties.Loader{Encoding: properties.ISO_8859_1, DisableExpansion: true}
			p, err := l.LoadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			res, err := Translate(p.Map())
			var got []byte
			if err != nil {
				got = []byte("refused:\n" + err.Error() + "\n")
			} else {
				if got, err = json.MarshalIndent(res, "", "  "); err != nil {
					t.Fatal(err)
				}
				got = append(got, '\n')
				accepts(t, res.Properties)
			}
			golden(t, strings.TrimSuffix(file, ".properties")+".golden", got)
		})
	}
}

// accepts makes a client with properties: librdkafka itself says whether names and values are right.
func accepts(t *testing.T, props map[string]string) {
	t.Helper()
	set, err := newSettings(props)
	if err != nil {
		t.Fatal(err)
	}
	for k := range set { // these name files that a test does not have
		if strings.HasPrefix(k, "ssl.") && strings.HasSuffix(k, ".location") {
			delete(set, k)
		}
	}
	c, err := ck.NewAdminClient(set.configMap())
	if err != nil {
		t.Fatalf("librdkafka refuses the translation: %v", err)
	}
	c.Close()
}

func TestOwnNamesAreKnownToLibrdkafka(t *testing.T) {
	for name := range ownNames() {
		c, err := ck.NewAdminClient(&ck.ConfigMap{name: "\x01?", "log_level": "0"})
		if err == nil {
			c.Close()
		} else if strings.Contains(err.Error(), "No such configuration property") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheTargetOfEveryRuleIsAnOwnName(t *testing.T) {
	own := ownNames()
	for _, r := range javaRules() {
		if r.does == renames && r.to != startAtKey && !own[r.to] {
			t.Errorf("%s becomes %s, which librdkafka does not know", r.key, r.to)
		}
	}
}

func TestTheDocumentedTableIsUpToDate(t *testing.T) {
	var b bytes.Buffer
	if err := Markdown(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/java/table.md", b.Bytes())
}

func TestTranslate(t *testing.T) {
	const (
		scram = `org.apache.kafka.common.security.scram.ScramLoginModule required `
		plain = `org.apache.kafka.common.security.plain.PlainLoginModule required `
	)
	sasl := func(mechanism, jaas string) map[string]string {
		return map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": mechanism, "sasl.jaas.config": jaas}
	}
	for name, c := range map[string]struct {
		in      map[string]string
		want    map[string]string // subset of Properties; "-" means absent
		refused string            // part of the error
		startAt string
		ignored string
		unknown string
		changed string
	}{
		"a number outside librdkafka's bounds is moved to the bound": {
			in:   map[string]string{"max.poll.interval.ms": "2147483647", "fetch.max.bytes": "2147483647"},
			want: map[string]string{"max.poll.interval.ms": "86400000", "fetch.max.bytes": "2147483135"}, changed: "max.poll.interval.ms"},
		"a number that is none is refused by name":            {in: map[string]string{"linger.ms": "soon"}, refused: "linger.ms: not a whole number"},
		"never idle is librdkafka's zero":                     {in: map[string]string{"connections.max.idle.ms": "-1"}, want: map[string]string{"connections.max.idle.ms": "0"}},
		"buffer memory becomes kibibytes":                     {in: map[string]string{"buffer.memory": "33554432"}, want: map[string]string{"queue.buffering.max.kbytes": "32768"}},
		"assignor classes become names":                       {in: map[string]string{"partition.assignment.strategy": "org.apache.kafka.clients.consumer.RoundRobinAssignor"}, want: map[string]string{"partition.assignment.strategy": "roundrobin"}},
		"Java's default pair of assignors becomes the second": {in: map[string]string{"partition.assignment.strategy": "org.apache.kafka.clients.consumer.RangeAssignor, org.apache.kafka.clients.consumer.CooperativeStickyAssignor"}, want: map[string]string{"partition.assignment.strategy": "cooperative-sticky"}, changed: "partition.assignment.strategy"},
		"an assignor of one's own is refused":                 {in: map[string]string{"partition.assignment.strategy": "com.example.Mine"}, refused: "partition.assignment.strategy"},
		"the start is handed to the caller":                   {in: map[string]string{"auto.offset.reset": "LATEST"}, want: map[string]string{"auto.offset.reset": "-"}, startAt: "latest"},
		"a start by duration is refused with a remedy":        {in: map[string]string{"auto.offset.reset": "by_duration:P1D"}, refused: "set the offsets of the stopped connector"},
		"isolation is always read_committed":                  {in: map[string]string{"isolation.level": "read_uncommitted"}, want: map[string]string{"isolation.level": "-"}, ignored: "isolation.level"},
		"max.poll.records has a reason":                       {in: map[string]string{"max.poll.records": "500"}, ignored: "max.poll.records"},
		"interceptors have a reason":                          {in: map[string]string{"interceptor.classes": "io.confluent.X"}, ignored: "interceptor.classes"},
		"an unknown key is named":                             {in: map[string]string{"fetch.sometimes": "1"}, unknown: "fetch.sometimes"},
		"an unknown security key is an error":                 {in: map[string]string{"ssl.magic": "1"}, refused: "ssl.magic"},
		"librdkafka's names pass and win":                     {in: map[string]string{"socket.timeout.ms": "1000", "request.timeout.ms": "2000"}, want: map[string]string{"socket.timeout.ms": "1000"}, ignored: "request.timeout.ms"},
		"native code cannot be loaded":                        {in: map[string]string{"plugin.library.paths": "/tmp/x.so"}, refused: "native code"},
		"no host name check is said by an empty value":        {in: map[string]string{"ssl.endpoint.identification.algorithm": ""}, want: map[string]string{"ssl.endpoint.identification.algorithm": "none"}},
		"other empty values are dropped":                      {in: map[string]string{"client.rack": " "}, want: map[string]string{"client.rack": "-"}},
		"a password keeps its quotes, escapes and semicolon": {
			in:   sasl("SCRAM-SHA-512", scram+`username="al\"ice" password='a;b="c\\' ;`),
			want: map[string]string{"sasl.username": `al"ice`, "sasl.password": `a;b="c\`, "sasl.mechanism": "SCRAM-SHA-512"}},
		"a shaded login module counts": {in: sasl("PLAIN", `kafkashaded.`+plain+`username=a password=b;`), want: map[string]string{"sasl.password": "b"}},
		"a JAAS text without its end":  {in: sasl("PLAIN", plain+`username=a password=geheim`), refused: "closing ';'"},
		"the wrong login module":       {in: sasl("PLAIN", scram+`username=a password=b;`), refused: "PlainLoginModule"},
		"no password":                  {in: sasl("PLAIN", plain+`username=a;`), refused: "username or password is missing"},
		"Kerberos":                     {in: sasl("GSSAPI", `com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true;`), refused: "not in the bundled librdkafka"},
		"SASL without a mechanism":     {in: map[string]string{"security.protocol": "SASL_SSL"}, refused: "sasl.mechanism"},
		"delegation tokens":            {in: sasl("SCRAM-SHA-256", scram+`username=a password=b tokenauth=true;`), refused: "tokenauth"},
		"a login handler of one's own": {in: map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "sasl.login.callback.handler.class": "com.example.H"}, refused: "sasl.login.callback.handler.class"},
		"client credentials of Kafka's own handler": {
			in: map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER",
				"sasl.login.callback.handler.class":   "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
				"sasl.oauthbearer.token.endpoint.url": "https://id/token",
				"sasl.jaas.config":                    `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId="c" clientSecret="s" scope="x y" extension_logicalCluster="lkc-1" extension_identityPoolId="p";`},
			want: map[string]string{"sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": "c", "sasl.oauthbearer.client.secret": "s", "sasl.oauthbearer.scope": "x y", "sasl.oauthbearer.extensions": "identityPoolId=p,logicalCluster=lkc-1"}},
		"a token endpoint is needed": {in: sasl("OAUTHBEARER", `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId="c" clientSecret="s";`), refused: "token.endpoint.url is missing"},
		"a PKCS12 key store works": {in: map[string]string{"ssl.keystore.location": "/k/client.p12", "ssl.keystore.password": "pw"},
			want: map[string]string{"ssl.keystore.location": "/k/client.p12", "ssl.keystore.password": "pw"}},
		"a PKCS12 trust store is refused with a command": {in: map[string]string{"ssl.truststore.location": "/k/trust.p12", "ssl.truststore.type": "PKCS12"}, refused: "keytool -list -rfc"},
		"certificates in the file on one line": {in: map[string]string{"ssl.truststore.type": "PEM", "ssl.truststore.certificates": "-----BEGIN CERTIFICATE----- QUJD REVG -----END CERTIFICATE-----"},
			want: map[string]string{"ssl.ca.pem": "-----BEGIN CERTIFICATE-----\nQUJDREVG\n-----END CERTIFICATE-----\n"}},
		"TLS 1.3 alone cannot be promised": {in: map[string]string{"ssl.enabled.protocols": "TLSv1.3"}, refused: "cannot switch TLSv1.2 off"},
		"old TLS is refused":               {in: map[string]string{"ssl.enabled.protocols": "TLSv1.1,TLSv1.2"}, refused: "ssl.enabled.protocols"},
		"Java's cipher names are refused":  {in: map[string]string{"ssl.cipher.suites": "TLS_RSA_WITH_AES_128_CBC_SHA"}, refused: "OpenSSL's names"},
		"Kerberos leftovers do no harm": {in: map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.kerberos.service.name": "kafka",
			"sasl.jaas.config": plain + `username=a password=b;`}, ignored: "sasl.kerberos.service.name"},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := Translate(c.in)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("error %v does not say %q", err, c.refused)
				}
				if strings.Contains(err.Error(), "geheim") {
					t.Fatalf("the error tells a secret: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for k, want := range c.want {
				if got, ok := res.Properties[k]; want == "-" && ok || want != "-" && got != want {
					t.Errorf("%s = %q, want %q", k, got, want)
				}
			}
			if res.StartAt != c.startAt {
				t.Errorf("start at %q", res.StartAt)
			}
			for key, notes := range map[string][]Note{c.ignored: res.Ignored, c.unknown: res.Unknown, c.changed: res.Adjusted} {
				found := key == ""
				for _, n := range notes {
					found = found || n.Key == key && n.Reason != ""
				}
				if !found {
					t.Errorf("no note about %s in %v", key, notes)
				}
			}
		})
	}
}

func FuzzParseJAAS(f *testing.F) {
	f.Add(`org.apache.kafka.common.security.plain.PlainLoginModule required username="a" password="b\"c\101";`)
	f.Add(`a.B optional x='1' /* c */ y=2 // d
;`)
	f.Add(`x required "`)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseJAAS(text)
		if err == nil && (l.module == "" && !strings.ContainsAny(text, `"'`) || l.options == nil) {
			t.Fatalf("%q: %+v", text, l)
		}
	})
}

func FuzzPEMText(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----")
	f.Fuzz(func(t *testing.T, text string) {
		once, err := pemText(text)
		if err != nil {
			return
		}
		twice, err := pemText(once)
		if err != nil || once != twice {
			t.Fatalf("%q becomes %q, then %q (%v)", text, once, twice, err)
		}
	})
}
