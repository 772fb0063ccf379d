package aws

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

func isolate(t *testing.T) {
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "",
	} {
		t.Setenv(k, v)
	}
}

func TestACallIsAttemptedOnceEvenWhenTheEnvironmentAsksForMore(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_MAX_ATTEMPTS", "5")
	t.Setenv("AWS_RETRY_MODE", "adaptive")
	var calls atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	cfg, err := Load(t.Context(), "sa-east-1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = sfn.NewFromConfig(cfg, func(o *sfn.Options) { o.BaseEndpoint = &srv.URL }).ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{})
	if err == nil || calls.Load() != 1 {
		t.Errorf("%d attempts, %v", calls.Load(), err)
	}
}

func TestTheRegionGivenOutranksTheEnvironments(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_REGION", "eu-west-1")
	for given, want := range map[string]string{"sa-east-1": "sa-east-1", "": "eu-west-1"} {
		if cfg, err := Load(t.Context(), given); err != nil || cfg.Region != want {
			t.Errorf("%q: %s, %v", given, cfg.Region, err)
		}
	}
}

func TestMissingCredentialsAreAnErrorOfTheirOwn(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	cfg, err := Load(t.Context(), "sa-east-1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = sfn.NewFromConfig(cfg).ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{})
	var missing *CredentialsError
	if !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
}

func TestABadProfileIsNamed(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_PROFILE", "nobody")
	if _, err := Load(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "nobody") || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
}

func TestATransportKeepsAsManyConnectionsAsItOpens(t *testing.T) {
	var opened atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	transport := NewTransport(16)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 20 {
				resp, err := client.Get(srv.URL)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	// A few more than calls at once: a busy machine can make net/http give up a connection.
	if n := opened.Load(); n > 20 {
		t.Errorf("%d connections for 16 calls at once", n)
	}
}

func TestARoleIsAssumedByTheFirstCallAndItsRefusalIsAnErrorOfCredentials(t *testing.T) {
	isolate(t)
	var forms []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		forms = append(forms, r.PostForm.Encode())
		w.WriteHeader(http.StatusForbidden)
	}))
	defer srv.Close()
	cfg, err := Load(t.Context(), "sa-east-1")
	if err != nil {
		t.Fatal(err)
	}
	transport := NewTransport(1)
	defer transport.CloseIdleConnections()
	as := Role{ARN: "arn:aws:iam::111111111111:role/r", SessionName: "s1", Endpoint: srv.URL, Transport: transport}.As(cfg)
	if len(forms) != 0 {
		t.Fatal("a role is assumed before it is needed")
	}
	_, err = as.Credentials.Retrieve(t.Context())
	var refused *CredentialsError
	if !errors.As(err, &refused) || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
	if len(forms) != 1 || !strings.Contains(forms[0], "RoleSessionName=s1") || strings.Contains(forms[0], "ExternalId") {
		t.Errorf("%v", forms)
	}
	if own, err := cfg.Credentials.Retrieve(t.Context()); err != nil || own.AccessKeyID != "id" {
		t.Errorf("the configuration's own credentials have changed: %v", err)
	}
}
