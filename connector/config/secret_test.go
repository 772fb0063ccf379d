package config_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/connector/config"
)

const geheim = "s3cr3t-geheim"

func TestASecretIsShownByNoVerbEncoderOrLogger(t *testing.T) {
	secret := config.Secret(geheim)
	def := config.New(config.Key{Name: "pw", Type: config.Password}, config.Key{Name: "open"})
	values, err := def.Parse(map[string]string{"pw": geheim, "open": "shown", "undeclared.token": geheim, "url": "http://u:" + geheim + "@h/"})
	if err != nil {
		t.Fatal(err)
	}
	holder := struct {
		S config.Secret
		P *config.Secret
		L []config.Secret
		M map[string]config.Secret
		V config.Values
	}{secret, &secret, []config.Secret{secret}, map[string]config.Secret{"k": secret}, values}

	var shown []string
	for _, v := range []any{secret, &secret, values, &values, holder, fmt.Errorf("refused: %v", secret)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%8.3s"} {
			shown = append(shown, verb+": "+fmt.Sprintf(verb, v))
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, "json: "+string(b))
	}
	b, err := xml.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	shown = append(shown, "xml: "+string(b))
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("m", "secret", secret, "values", values, "holder", holder)
	}
	shown = append(shown, "slog: "+log.String())
	for _, text := range shown {
		if strings.Contains(text, geheim) || strings.Contains(text, fmt.Sprintf("%x", geheim)) || strings.Contains(text, fmt.Sprintf("%X", geheim)) {
			t.Errorf("the secret is shown: %s", text)
		}
	}
	if secret.Reveal() != geheim || values.Password("pw").Reveal() != geheim {
		t.Error("Reveal does not give the text")
	}
	if got := fmt.Sprint(values); got != "{open=shown, pw=[hidden], undeclared.token=[hidden], url=[hidden]}" {
		t.Errorf("values print as %s", got)
	}
}

func TestLooksSecret(t *testing.T) {
	for _, key := range []string{
		"password", "db.password", "sasl.jaas.config", "consumer.override.sasl.jaas.config", "ssl.key.password", "ssl.keystore.key",
		"basic.auth.user.info", "value.converter.schema.registry.basic.auth.user.info", "aws.secret.access.key", "aws.session.token",
		"bearer.auth.token", "accessToken", "clientSecret", "API_KEY", "apikey", "x-api-key", "private.key", "privateKey", "db.pwd",
		"db.pass", "sasl.oauthbearer.client.credentials.client.secret", "http.headers.authorization", "passphrase", "azure.account.key", "connection.string",
	} {
		if !config.LooksSecret(key) {
			t.Errorf("%s does not look secret", key)
		}
	}
	for _, key := range []string{
		"", "...", "name", "topics", "tokens.max", "max.tokens", "tokenizer", "aws.access.key.id", "basic.auth.credentials.source", "key.converter",
		"sasl.oauthbearer.token.endpoint.url", "password.file", "secret.arn", "ssl.truststore.location", "inter.worker.key.ttl.ms", "fencing.lease.ms",
		"compass.direction", "bypass.cache", "domain.clientes.state.machine.arn", "delegation.token.expiry.time.ms",
	} {
		if config.LooksSecret(key) {
			t.Errorf("%s looks secret", key)
		}
	}
	for _, k := range config.SinkConnectorDef().Keys() {
		if config.LooksSecret(k.Name) {
			t.Errorf("the host's own key %s looks secret", k.Name)
		}
	}
}

func TestHideKeepsPlaceholdersAndHidesTheRest(t *testing.T) {
	def := config.New(config.Key{Name: "list", Type: config.List}).Expand(func(raw map[string]string) []config.Key {
		return []config.Key{{Name: raw["list"] + ".code", Type: config.Password}}
	})
	raw := map[string]string{
		"list": "a", "a.code": geheim, "db.password": geheim, "plain": geheim,
		"p1.password": "${file:/run/x.properties:pw}", "p2.user.info": "${env:USER}:${env:PASS}", "p3.password": " ${env:A} ",
		"mixed.password": "${env:A}x", "half.password": "${nothing}", "nested.password": "${a:${b:c}}", "empty.password": "",
		"registry.url": "https://user:" + geheim + "@registry:8081", "registry.named.url": "https://user@registry:8081", "time": "http://h:80/a@b",
	}
	want := map[string]string{
		"list": "a", "a.code": "[hidden]", "db.password": "[hidden]", "plain": geheim,
		"p1.password": "${file:/run/x.properties:pw}", "p2.user.info": "${env:USER}:${env:PASS}", "p3.password": " ${env:A} ",
		"mixed.password": "[hidden]", "half.password": "[hidden]", "nested.password": "[hidden]", "empty.password": "",
		"registry.url": "[hidden]", "registry.named.url": "https://user@registry:8081", "time": "http://h:80/a@b",
	}
	if diff := cmp.Diff(want, config.Hide(raw, def)); diff != "" {
		t.Errorf("hidden (-want +got):\n%s", diff)
	}
	if got := config.Hide(raw, nil); got["a.code"] != geheim || got["db.password"] != config.Hidden {
		t.Errorf("without a definition names alone decide, got %v", got)
	}
}

func TestValidateHidesSecretsInValuesDefaultsAndErrors(t *testing.T) {
	def := config.New(
		config.Key{Name: "pw", Type: config.Password, Default: geheim, Validate: config.Func("", func(name string, v any) error {
			if v.(config.Secret).Reveal() == "" {
				return config.Invalid(name, v, "empty")
			}
			return nil
		})},
		config.Key{Name: "auth.token", Validate: config.OneOf("x")},
		config.Key{Name: "url", Validate: config.OneOf("x")},
	).Cross(func(v config.Values) map[string][]string {
		return map[string][]string{"client.secret": {"stray"}}
	})
	raw := map[string]string{"pw": geheim, "auth.token": geheim, "url": "http://u:" + geheim + "@h", "client.secret": geheim}
	b, err := json.Marshal(def.Validate(texts(raw)))
	if err != nil {
		t.Fatal(err)
	}
	_, parseErr := def.Parse(raw)
	for _, text := range []string{string(b), fmt.Sprint(parseErr)} {
		if strings.Contains(text, geheim) {
			t.Errorf("the secret is shown: %s", text)
		}
	}
}
