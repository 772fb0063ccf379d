package stepfunctions

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

// accounts answers AssumeRole like STS and hands everything else to a Step Functions endpoint.
type accounts struct {
	*httptest.Server
	mu      sync.Mutex // guards the rest
	assumed []url.Values
	keys    map[string]string // the access key that each state machine was last called with
	life    time.Duration     // of credentials
	refuse  bool
}

func newAccounts(t *testing.T, e *endpoint) *accounts {
	a := &accounts{keys: map[string]string{}, life: time.Hour}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
			key, scope, _ := strings.Cut(rest, "/")
			a.mu.Lock()
			a.keys[strings.Split(scope, "/")[1]] = key
			a.mu.Unlock()
			e.ServeHTTP(w, r)
			return
		}
		a.assume(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *accounts) assume(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.assumed = append(a.assumed, r.PostForm)
	if a.refuse {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprint(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform sts:AssumeRole</Message></Error></ErrorResponse>`)
		return
	}
	_, _ = fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
		<AccessKeyId>as-%s</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%s</Expiration>
		</Credentials></AssumeRoleResult></AssumeRoleResponse>`, r.PostForm.Get("RoleSessionName"), time.Now().Add(a.life).UTC().Format(time.RFC3339))
}

func (a *accounts) set(life time.Duration, refuse bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.life, a.refuse = life, refuse
}

func twoAccounts(a *accounts, pairs ...string) map[string]string {
	raw := settingsFor(nil, append([]string{"execution.type", "standard", "aws.endpoint", a.URL, "domains", "clientes,pedidos",
		"domain.pedidos.topics", "pedidos-alteracoes", "domain.pedidos.state.machine.arn", "arn:aws:states:us-east-1:222222222222:stateMachine:Pedidos",
		"domain.pedidos.role.arn", "arn:aws:iam::222222222222:role/vendas/inicia", "domain.pedidos.external.id", "segredo-externo"}, pairs...)...)
	return raw
}

func TestADomainIsStartedAsItsRoleWhichIsAssumedOnce(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	a := newAccounts(t, e)
	s := newSink(t, newTask(t).TaskContext, twoAccounts(a))
	for offset := range int64(3) {
		for _, table := range []string{"Clientes", "Pedidos"} {
			if err := s.Deliver(t.Context(), connectortest.Freeze(change(table, "u", "1", offset))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(a.assumed) != 1 {
		t.Fatalf("%d calls of AssumeRole", len(a.assumed))
	}
	got := a.assumed[0]
	if got.Get("RoleArn") != "arn:aws:iam::222222222222:role/vendas/inicia" || got.Get("ExternalId") != "segredo-externo" || got.Get("RoleSessionName") != "stepconnect-under-test" {
		t.Errorf("%v", got)
	}
	if a.keys["sa-east-1"] != "test" || a.keys["us-east-1"] != "as-stepconnect-under-test" {
		t.Errorf("keys by region: %v", a.keys)
	}
}

func TestCredentialsOfARoleAreRenewedBeforeTheyExpire(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	a := newAccounts(t, e)
	a.set(time.Minute, false) // within the window of renewal
	s := newSink(t, newTask(t).TaskContext, twoAccounts(a, "domain.pedidos.role.session.name", "vendas@stepconnect"))
	for offset := range int64(2) {
		if err := s.Deliver(t.Context(), connectortest.Freeze(change("Pedidos", "u", "1", offset))); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.assumed) != 2 || a.assumed[1].Get("RoleSessionName") != "vendas@stepconnect" {
		t.Errorf("%v", a.assumed)
	}
}

func TestARoleThatCannotBeAssumedStopsItsDomainOnlyAndHeals(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	a := newAccounts(t, e)
	a.set(time.Hour, true)
	s := newSink(t, newTask(t).TaskContext, twoAccounts(a))
	batch := connectortest.Freeze(change("Pedidos", "u", "1", 1))
	err := s.Deliver(t.Context(), batch)
	class, after := connector.Classify(err)
	if err == nil || class != connector.ClassRetryable || after != 10*time.Second || !strings.Contains(err.Error(), "trust policy") || strings.Contains(err.Error(), "segredo") {
		t.Errorf("class %v after %v: %v", class, after, err)
	}
	if err := s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", 1))); err != nil {
		t.Error(err)
	}
	a.set(time.Hour, false)
	if err := s.Deliver(t.Context(), batch); err != nil {
		t.Error(err)
	}
}
