package glue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/internal/aws"
)

const (
	// connections bounds those to Glue: schemas are few, and each is asked for once.
	connections = 4
	callTime    = 10 * time.Second // of one call
	attempts    = 4                // of one fetch, as many as AWS's own client makes at most, and one
	firstWait   = 250 * time.Millisecond
)

// registry asks AWS Glue for schema versions and keeps their programs.
type registry struct {
	*avro.Programs[schemaVersion]
	client    *glue.Client
	transport *aws.Transport
	fullNames bool
	at        string // for errors: the region, or the endpoint's host
	wait      time.Duration
}

func newRegistry(s settings, wait time.Duration) (*registry, error) {
	// A converter is made without a context, because nothing is waited for: this reads files and the environment.
	cfg, err := aws.Load(context.Background(), s.region) //nolint:forbidigo // see above
	if err != nil {
		return nil, err
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("no AWS region is known: set %s, or AWS_REGION in the environment", keyRegion)
	}
	r := &registry{transport: aws.NewTransport(connections), fullNames: s.fullNames, at: "AWS Glue in " + cfg.Region, wait: wait}
	if s.proxy != "" {
		proxy, err := url.Parse(s.proxy)
		if err != nil {
			return nil, errors.New(keyProxy + " is no URL")
		}
		r.transport.SetProxy(proxy)
	}
	if s.role != "" {
		cfg = aws.Role{ARN: s.role, SessionName: s.session, Transport: r.transport}.As(cfg)
	}
	r.client = glue.NewFromConfig(cfg, func(o *glue.Options) {
		o.HTTPClient = &http.Client{Transport: r.transport}
		if s.endpoint != "" {
			o.BaseEndpoint = &s.endpoint
			if u, err := url.Parse(s.endpoint); err == nil {
				r.at = "AWS Glue at " + u.Host
			}
		}
	})
	r.Programs = avro.NewPrograms(r.at, s.cacheSize, r.fetch)
	return r, nil
}

// fetch asks for one schema version, again and again while passing errors come, and compiles it.
func (r *registry) fetch(ctx context.Context, id schemaVersion) (avro.Fetched, error) {
	wait := r.wait
	for attempt := 1; ; attempt++ {
		out, err := r.ask(ctx, id)
		if err == nil {
			return r.compile(id, out)
		}
		err = r.classified(id, err)
		class, _ := connector.Classify(err)
		if class != connector.ClassRetryable || attempt == attempts {
			return avro.Fetched{}, err
		}
		t := time.NewTimer(wait/2 + rand.N(wait/2+1))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return avro.Fetched{}, err
		}
		wait *= 2
	}
}

func (r *registry) ask(ctx context.Context, id schemaVersion) (*glue.GetSchemaVersionOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	text := strings.TrimPrefix(id.String(), "schema version ")
	return r.client.GetSchemaVersion(ctx, &glue.GetSchemaVersionInput{SchemaVersionId: &text})
}

// compile makes the program. A version that is not AVAILABLE but has a definition was good when records were
// written with it.
func (r *registry) compile(id schemaVersion, out *glue.GetSchemaVersionOutput) (avro.Fetched, error) {
	reject := func(err error) (avro.Fetched, error) {
		return avro.Fetched{Err: connector.Rejected(fmt.Errorf("%s of %s: %w", id, r.at, err))}, nil
	}
	if out.SchemaDefinition == nil || *out.SchemaDefinition == "" {
		return avro.Fetched{}, connector.Retryable(fmt.Errorf("%s of %s has no definition yet, its status is %q", id, r.at, out.Status))
	}
	if out.DataFormat != "" && out.DataFormat != types.DataFormatAvro {
		return reject(fmt.Errorf("it is of format %s, not AVRO", out.DataFormat))
	}
	p, err := avro.CompileNamed(*out.SchemaDefinition, r.fullNames)
	if err != nil {
		return reject(err)
	}
	return avro.Fetched{Program: p}, nil
}

// classified maps what AWS said to a class, in one place. Only a clear no about the version is Rejected: all else may heal,
// when AWS, the network, the role or the configuration does (invariant 1).
func (r *registry) classified(id schemaVersion, err error) error {
	var credentials *aws.CredentialsError
	if errors.As(err, &credentials) {
		return connector.Retryable(fmt.Errorf("%s was not asked for %s: give the worker AWS credentials, and with %s a role that trusts it: %w", r.at, id, keyRole, err))
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		said := api.ErrorCode() + ": " + clip(api.ErrorMessage())
		switch api.ErrorCode() {
		case "EntityNotFoundException":
			return connector.Rejected(fmt.Errorf("%s does not know %s (%s): it was deleted, or the record was written with a registry of another region or account; see %s and %s: %w",
				r.at, id, said, keyRegion, keyRole, avro.ErrUnknown))
		case "AccessDeniedException", "AccessDenied":
			return connector.Retryable(fmt.Errorf("%s refused %s (%s): allow glue:GetSchemaVersion on the registry and the schema", r.at, id, said))
		case "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "InvalidClientTokenId", "SignatureDoesNotMatch", "RequestExpired":
			return connector.Retryable(fmt.Errorf("%s refused the credentials for %s (%s): check them, and this machine's clock", r.at, id, said))
		}
		return connector.Retryable(fmt.Errorf("%s did not give %s (%s)", r.at, id, said))
	}
	var status *smithyhttp.ResponseError
	if errors.As(err, &status) && status.HTTPStatusCode() != 0 {
		return connector.Retryable(fmt.Errorf("%s did not give %s: status %d, check %s", r.at, id, status.HTTPStatusCode(), keyEndpoint))
	}
	return connector.Retryable(fmt.Errorf("%s cannot be reached for %s; see %s, %s and %s: %w", r.at, id, keyRegion, keyEndpoint, keyProxy, err))
}

// clip keeps what AWS said short.
func clip(text string) string {
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// Close ends the fetches that run and closes the connections.
func (r *registry) Close() {
	r.Programs.Close()
	r.transport.CloseIdleConnections()
}
