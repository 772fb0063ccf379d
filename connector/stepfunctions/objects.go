package stepfunctions

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/internal/aws"
)

// claimSettings say where the columns that do not fit into an input go.
type claimSettings struct {
	bucket, prefix   string
	region, endpoint string // "" for those of the SDK's chain
	encryption       types.ServerSideEncryption
	kmsKey           string // "" for the account's own key
}

// objects stores claims.
type objects struct {
	client    *s3.Client
	transport *aws.Transport
	set       *claimSettings
	timeout   time.Duration // of a call
}

func newObjects(cfg aws.Config, set *claimSettings, timeout time.Duration, maxInFlight int) *objects {
	o := &objects{transport: aws.NewTransport(max(maxInFlight, 1)), set: set, timeout: timeout}
	o.client = s3.NewFromConfig(cfg, func(opt *s3.Options) {
		if set.region != "" {
			opt.Region = set.region
		}
		opt.HTTPClient = &http.Client{Transport: o.transport}
		if set.endpoint != "" {
			// A host of its own seldom has names for buckets under it.
			opt.BaseEndpoint, opt.UsePathStyle = &set.endpoint, true
		}
	})
	return o
}

func (o *objects) close() { o.transport.CloseIdleConnections() }

// put stores a claim's content unless an object of its key is there, which then has the same content. S3
// checks the content against the checksum before it accepts it.
func (o *objects) put(ctx context.Context, c *claim) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	sum := base64.StdEncoding.EncodeToString(c.sum[:])
	absent, contentType := "*", "application/json"
	in := &s3.PutObjectInput{
		Bucket: &o.set.bucket, Key: &c.key, Body: bytes.NewReader(c.content), ContentType: &contentType,
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: &sum,
		IfNoneMatch: &absent, ServerSideEncryption: o.set.encryption,
	}
	if o.set.kmsKey != "" {
		in.SSEKMSKeyId = &o.set.kmsKey
	}
	_, err := o.client.PutObject(ctx, in)
	var status *smithyhttp.ResponseError
	if errors.As(err, &status) && status.HTTPStatusCode() == http.StatusPreconditionFailed {
		return nil
	}
	return err
}

// store puts the claims of a job's changes that are not stored yet.
func (s *Sink) store(ctx context.Context, j *job) error {
	for _, p := range j.claimed {
		for !p.stored() {
			c := &p.claims[p.done]
			if err := s.objects.put(ctx, c); err != nil {
				return s.explainStore(ctx, j, c, err)
			}
			p.done++
			j.domain.metrics.claims.Add(1)
		}
	}
	return nil
}

// explainStore classifies an error of S3. The change is never at fault: it waits until the bucket takes it.
func (s *Sink) explainStore(ctx context.Context, j *job, c *claim, err error) error {
	what := fmt.Sprintf("domain %s: storing column %s for execution %s as s3://%s/%s", j.domain.name, c.column, j.name, s.settings.claims.bucket, c.key)
	if ctx.Err() != nil {
		return connector.Retryable(fmt.Errorf("%s was interrupted: %w", what, context.Cause(ctx)))
	}
	v := classify(err)
	if v.action == actReject || v.action == actAcknowledge || v.reason == reasonUnclassified || v.reason == reasonPermission {
		if v.reason != reasonPermission {
			v.reason = reasonDestination
		}
		v.action, v.remedy = actRetrySlowly, remedyStore
	}
	j.domain.metrics.errors[v.reason].Add(1)
	return v.error(fmt.Errorf("%s: %w", what, err), s.settings.slowRetry)
}

const remedyStore = "check oversize.s3.*, and that the role allows s3:PutObject in the bucket, and kms:GenerateDataKey with its KMS key"
