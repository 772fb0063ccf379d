package kafka

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-msk-iam-sasl-signer-go/signer"
	"github.com/aws/aws-sdk-go-v2/aws"
)

// MSKIAM says how to sign in to an Amazon MSK cluster with IAM: what a worker file says in the
// options of software.amazon.msk.auth.iam.IAMLoginModule (github.com/aws/aws-msk-iam-auth).
type MSKIAM struct {
	Region      string `json:"region,omitempty"` // of the cluster; by default read from bootstrap.servers
	Profile     string `json:"profile,omitempty"`
	RoleARN     string `json:"role_arn,omitempty"`
	SessionName string `json:"session_name,omitempty"`
	ExternalID  string `json:"external_id,omitempty"`
}

// MSKToken gives the tokens of o: URLs signed for 15 minutes. credentials signs them unless o names
// a role or a profile; nil means the SDK's default chain.
func MSKToken(o MSKIAM, credentials aws.CredentialsProvider) TokenFunc {
	return func(ctx context.Context) (Token, error) {
		if o.Region == "" {
			return Token{}, errors.New("the AWS region of the MSK cluster is unknown: bootstrap.servers holds no MSK host name; set AWS_REGION")
		}
		value, expires, err := o.sign(ctx, credentials)
		if err != nil {
			return Token{}, fmt.Errorf("sign in to MSK in %s with IAM: %w", o.Region, err)
		}
		return Token{Value: value, Principal: "msk-iam", Expires: time.UnixMilli(expires)}, nil
	}
}

func (o MSKIAM) sign(ctx context.Context, credentials aws.CredentialsProvider) (string, int64, error) {
	switch {
	case o.RoleARN != "":
		return signer.GenerateAuthTokenFromRoleWithExternalId(ctx, o.Region, o.RoleARN, o.SessionName, o.ExternalID)
	case o.Profile != "":
		return signer.GenerateAuthTokenFromProfile(ctx, o.Region, o.Profile)
	case credentials != nil:
		return signer.GenerateAuthTokenFromCredentialsProvider(ctx, o.Region, credentials)
	}
	return signer.GenerateAuthToken(ctx, o.Region)
}

// mskRegion reads the region from an MSK host name (b-1.name.id.c2.kafka.sa-east-1.amazonaws.com), "" if none is there.
func mskRegion(bootstrap string) string {
	m := regexp.MustCompile(`\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com`).FindStringSubmatch(bootstrap)
	if m == nil {
		return ""
	}
	return m[1]
}
