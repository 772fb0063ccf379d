// Package secret is the config providers for AWS Secrets Manager and AWS Systems Manager Parameter Store. A
// configuration refers to a secret by
//
//	${secrets:name}          the whole secret
//	${secrets:name:key}      one field of a secret that is a JSON object
//	${params:/path/name}     a parameter, decrypted
//	${params:/path/name:key} one field of a parameter that is a JSON object
//
// where secrets and params are the names that the worker's config.providers gives. A name may be an ARN as it is.
package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/internal/aws"
)

const (
	// defaultTTL is how long a value is used before AWS is asked again. Parameter Store answers 40 calls a second by
	// default, for the whole account and region (AWS General Reference, Systems Manager quotas).
	defaultTTL = 5 * time.Minute
	// callWait bounds one call, attempts how often it is made, and backoff the wait before the second one.
	callWait = 5 * time.Second
	attempts = 3
	backoff  = 200 * time.Millisecond
)

// source gets the value that is stored under a name.
type source interface {
	get(ctx context.Context, name string) (string, error)
}

// Provider gives values of one of the services and remembers each for its time to live. It is safe for concurrent use.
type Provider struct {
	service string // for errors
	prefix  string
	ttl     time.Duration
	source  source
	now     func() time.Time

	mu     sync.Mutex // guards values
	values map[string]*value
}

// value is what is known under one name.
type value struct {
	asking chan struct{} // holds the token of who asks: one call a name at a time
	text   string
	known  bool
	until  time.Time
}

func newProvider(service string, p settings, s source) *Provider {
	return &Provider{service: service, prefix: p.prefix, ttl: p.ttl, source: s, now: time.Now, values: map[string]*value{}}
}

// TTL is how long a value holds; 0 means until the worker ends, for values that nobody rotates.
func (p *Provider) TTL() time.Duration { return p.ttl }

// Lookup gives the value that a placeholder refers to. A secret or a key that does not exist is an error: the text of a
// placeholder is never meant as a password. While AWS cannot be reached a value that was read before is given.
func (p *Provider) Lookup(ctx context.Context, path, key string) (config.Secret, bool, error) {
	name, field := reference(path, key)
	if name == "" {
		return "", false, errors.New("it names nothing: write ${provider:name} or ${provider:name:key}")
	}
	name = p.prefix + name
	text, err := p.read(ctx, name)
	if err != nil {
		return "", false, fmt.Errorf("%s %s: %w", p.service, name, err)
	}
	if field == "" {
		return config.Secret(text), true, nil
	}
	text, err = fieldOf(text, field)
	if err != nil {
		return "", false, fmt.Errorf("%s %s: %w", p.service, name, err)
	}
	return config.Secret(text), true, nil
}

// reference splits what stands in a placeholder. Kafka splits at the first colon, so an ARN, which holds six, arrives cut.
func reference(path, key string) (name, field string) {
	whole := key
	if path != "" {
		whole = path + ":" + key
	}
	// Other providers want the colons of an ARN encoded.
	whole = strings.NewReplacer("%3A", ":", "%3a", ":").Replace(whole)
	if !strings.HasPrefix(whole, "arn:") {
		if path == "" {
			return key, ""
		}
		return path, key
	}
	// arn:aws:secretsmanager:region:account:secret:name, arn:aws:ssm:region:account:parameter/name
	parts := strings.Split(whole, ":")
	size := 7
	if len(parts) > 2 && parts[2] == "ssm" {
		size = 6
	}
	if len(parts) <= size {
		return whole, ""
	}
	return strings.Join(parts[:size], ":"), strings.Join(parts[size:], ":")
}

// fieldOf gives a field of a JSON object as text. Errors hold nothing of the object's values.
func fieldOf(text, field string) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil || fields == nil {
		return "", fmt.Errorf("it is not a JSON object, so it has no key %q: leave the key out to use the whole of it", field)
	}
	raw, ok := fields[field]
	switch {
	case !ok:
		return "", fmt.Errorf("it has no key %q; it has %d others", field, len(fields))
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case raw[0] == '{', raw[0] == '[', string(raw) == "null":
		return "", fmt.Errorf("the value of its key %q is neither a text nor a number nor a boolean", field)
	}
	return string(raw), nil // a number or a boolean as it is written
}

// read gives the value of a name, from memory while it holds.
func (p *Provider) read(ctx context.Context, name string) (string, error) {
	p.mu.Lock()
	v := p.values[name]
	if v == nil {
		v = &value{asking: make(chan struct{}, 1)}
		p.values[name] = v
	}
	p.mu.Unlock()
	select {
	case v.asking <- struct{}{}:
		defer func() { <-v.asking }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if v.known && (p.ttl == 0 || p.now().Before(v.until)) {
		return v.text, nil
	}
	text, err := p.ask(ctx, name)
	class, _ := connector.Classify(err)
	switch {
	case err == nil:
		v.text, v.known, v.until = text, true, p.now().Add(p.ttl)
	case v.known && class == connector.ClassRetryable:
		return v.text, nil
	default:
		v.known = false
		return "", err
	}
	return text, nil
}

// ask asks AWS, again where that may help.
func (p *Provider) ask(ctx context.Context, name string) (text string, err error) {
	for attempt, wait := 1, backoff; ; attempt, wait = attempt+1, 2*wait {
		calling, cancel := context.WithTimeout(ctx, callWait)
		text, err = p.source.get(calling, name)
		cancel()
		err = classify(err)
		class, _ := connector.Classify(err)
		if err == nil || class != connector.ClassRetryable || attempt == attempts {
			return text, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return "", connector.Retryable(ctx.Err())
		}
	}
}

// classify tells what may pass by itself from what somebody has to put right, and says how.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return connector.Retryable(err) // no answer: no credentials yet, no connection
	}
	switch code := api.ErrorCode(); code {
	case "ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound":
		return fmt.Errorf("it does not exist in this account and region (%s): create it, or correct the name or the provider's region", code)
	case "AccessDeniedException", "AccessDenied", "DecryptionFailure", "KMSAccessDeniedException":
		return fmt.Errorf("the worker may not read it (%s: %s): allow secretsmanager:GetSecretValue or ssm:GetParameter on it, and kms:Decrypt on its key", code, api.ErrorMessage())
	case "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "InvalidSignatureException":
		return connector.Retryable(fmt.Errorf("AWS does not know the worker's credentials (%s)", code))
	}
	if retry.NewStandard().IsErrorRetryable(err) {
		return connector.Retryable(err)
	}
	return err
}

// settings are a provider's parameters, config.providers.<name>.param.*.
type settings struct {
	region, endpoint string
	prefix           string
	ttl              time.Duration
	role             aws.Role
}

// parse reads parameters under our names and those of the providers that Kafka Connect's users know. A parameter
// that is not known is an error: it may be one of security.
func parse(params map[string]string) (settings, error) {
	s := settings{ttl: defaultTTL, role: aws.Role{SessionName: "stepconnect"}}
	var problems []error
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		v := config.Trim(params[name])
		switch name {
		case "region", "aws.region":
			s.region = v
		case "endpoint", "aws.endpoint":
			s.endpoint = v
		case "prefix", "secret.prefix":
			s.prefix = v
		case "role.arn":
			s.role.ARN = v
		case "role.external.id":
			s.role.ExternalID = v
		case "ttl.ms", "secret.ttl.ms":
			ms, err := strconv.ParseInt(v, 10, 64)
			if err != nil || ms < 0 {
				problems = append(problems, fmt.Errorf("param.%s: %q is no number of milliseconds, 0 for never again", name, v))
			}
			s.ttl = time.Duration(ms) * time.Millisecond
		case "aws.access.key", "aws.secret.key":
			problems = append(problems, fmt.Errorf("param.%s: keys do not belong into a worker's file; give the worker a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its environment", name))
		case "NotFoundStrategy":
			if !strings.EqualFold(v, "fail") {
				problems = append(problems, fmt.Errorf("param.%s: a secret that is not found is an error here; only fail is taken", name))
			}
		default:
			problems = append(problems, fmt.Errorf("param.%s is unknown; known are region, endpoint, prefix, ttl.ms, role.arn, role.external.id", name))
		}
	}
	return s, errors.Join(problems...)
}
