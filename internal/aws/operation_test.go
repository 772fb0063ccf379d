package aws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"
)

// remote is an endpoint that keeps what it was asked.
type remote struct {
	*httptest.Server
	mu     sync.Mutex // guards the rest
	asked  []*http.Request
	answer func(w http.ResponseWriter, n int)
}

func newRemote(t *testing.T, answer func(w http.ResponseWriter, n int)) *remote {
	r := &remote{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, req)
	r.answer(w, len(r.asked))
}

// describe makes an operation at the endpoint; the SDK draws it up once.
func (r *remote) describe(t *testing.T, as aws.CredentialsProvider) *Operation {
	t.Helper()
	transport := NewTransport(1)
	t.Cleanup(transport.CloseIdleConnections)
	client := sfn.New(sfn.Options{Region: "sa-east-1", BaseEndpoint: &r.URL, Credentials: as})
	return NewOperation(as, transport, func(ctx context.Context, by HTTPClient) error {
		_, err := client.ListStateMachines(ctx, &sfn.ListStateMachinesInput{}, func(o *sfn.Options) { o.HTTPClient, o.Credentials = by, Nobody })
		return err
	})
}

// codeOf calls and gives the error code that an answer which is not good names.
func codeOf(ctx context.Context, o *Operation) (code string, err error) {
	b := NewBody()
	defer b.Release()
	b.AddCopy([]byte("{}"))
	err = o.Call(ctx, b, func(a *Answer) error {
		if a.OK() {
			return nil
		}
		code = strings.TrimSpace(string(a.Body))
		return &smithy.GenericAPIError{Code: code}
	})
	return code, err
}

func TestAClockThatIsWrongIsCorrectedByAnAnswer(t *testing.T) {
	const ahead = 3 * time.Hour
	r := newRemote(t, func(w http.ResponseWriter, n int) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		if n == 1 {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "InvalidSignatureException")
		}
	})
	o := r.describe(t, Nobody)
	if code, err := codeOf(t.Context(), o); code != "InvalidSignatureException" || err == nil {
		t.Errorf("%s, %v", code, err)
	}
	if _, err := codeOf(t.Context(), o); err != nil {
		t.Error(err)
	}
	for i, want := range []time.Duration{0, ahead} {
		signed, err := time.Parse("20060102T150405Z", r.asked[i].Header.Get("X-Amz-Date"))
		if off := time.Until(signed) - want; err != nil || off.Abs() > time.Minute {
			t.Errorf("call %d is signed %v off: %v", i+1, off, err)
		}
	}
}

func TestAnAnswerFromACacheOrWithoutADateSaysNothingAboutTheClock(t *testing.T) {
	o := &Operation{}
	now := time.Now()
	date := now.Add(time.Hour).UTC().Format(http.TimeFormat)
	for name, h := range map[string]http.Header{"no date": {}, "no such date": {"Date": {"yesterday"}}, "from a cache": {"Date": {date}, "Age": {"7"}}} {
		if o.observe(h, now, now); o.skew.Load() != 0 {
			t.Errorf("%s: %v", name, time.Duration(o.skew.Load()))
		}
	}
	if o.observe(http.Header{"Date": {date}}, now.Add(-time.Hour), now); o.skew.Load() != 0 {
		t.Error("a call of an hour")
	}
	if o.observe(http.Header{"Date": {date}}, now, now); o.skew.Load() == 0 {
		t.Error("an answer like any")
	}
}

func TestCredentialsThatAWSRefusesAsExpiredAreFetchedAnew(t *testing.T) {
	r := newRemote(t, func(w http.ResponseWriter, n int) {
		if n == 2 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "ExpiredTokenException")
		}
	})
	fetched := 0
	cached := aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		fetched++
		return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "hush", SessionToken: strings.Repeat("t", fetched), CanExpire: true, Expires: time.Now().Add(time.Hour)}, nil
	}))
	o := r.describe(t, credentials{cached})
	var codes []string
	for range 4 {
		code, err := codeOf(t.Context(), o)
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Error(err)
		}
		codes = append(codes, code)
	}
	if got := strings.Join(codes, ","); got != ",ExpiredTokenException,," || fetched != 2 {
		t.Errorf("%s, fetched %d times", got, fetched)
	}
	for i, want := range []string{"t", "t", "tt", "tt"} {
		if got := r.asked[i].Header.Get("X-Amz-Security-Token"); got != want {
			t.Errorf("call %d carries %q", i+1, got)
		}
	}
}

func TestACallWithoutCredentialsIsNotSent(t *testing.T) {
	r := newRemote(t, func(http.ResponseWriter, int) {})
	o := r.describe(t, credentials{aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no provider")
	})})
	_, err := codeOf(t.Context(), o)
	var missing *CredentialsError
	if !errors.As(err, &missing) || len(r.asked) != 0 {
		t.Errorf("%v, %d calls", err, len(r.asked))
	}
}

func TestTheTraceHeaderOfTheContextIsSent(t *testing.T) {
	r := newRemote(t, func(http.ResponseWriter, int) {})
	o := r.describe(t, Nobody)
	const trace = "Root=1-67891233-abcdef012345678912345678"
	for _, ctx := range []context.Context{t.Context(), WithTraceHeader(t.Context(), trace)} {
		if _, err := codeOf(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if r.asked[0].Header.Get("X-Amzn-Trace-Id") != "" || r.asked[1].Header.Get("X-Amzn-Trace-Id") != trace {
		t.Errorf("%v, %v", r.asked[0].Header, r.asked[1].Header)
	}
}

func TestAnOperationThatTheSDKCannotDrawUpSaysWhy(t *testing.T) {
	o := NewOperation(Nobody, http.DefaultTransport, func(context.Context, HTTPClient) error { return errors.New("no such region") })
	for range 2 {
		if _, err := codeOf(t.Context(), o); err == nil || err.Error() != "no such region" {
			t.Error(err)
		}
	}
}

func TestAnAnswerIsReadWholeAndOnlyUpToItsLimit(t *testing.T) {
	sizes := []int{0, 1, 1 << 10, 1<<10 + 1, 600_000, maxAnswer + 1}
	r := newRemote(t, func(w http.ResponseWriter, n int) { _, _ = w.Write(make([]byte, sizes[n-1])) })
	o := r.describe(t, Nobody)
	for _, size := range sizes {
		b, got := NewBody(), -1
		err := o.Call(t.Context(), b, func(a *Answer) error {
			got = len(a.Body)
			return nil
		})
		b.Release()
		if tooLong := size > maxAnswer; tooLong != (err != nil) || !tooLong && got != size {
			t.Errorf("%d bytes of %d: %v", got, size, err)
		}
	}
}
