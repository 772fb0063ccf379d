package aws

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Role is an IAM role to call AWS as, usually one of another account.
type Role struct {
	ARN string
	// ExternalID is what the role's trust policy may ask for; "" for none.
	ExternalID string
	// SessionName shows in CloudTrail; it takes 2 to 64 of 0-9 A-Z a-z _ + = , . @ - (AssumeRole, STS API reference).
	SessionName string
	// Region and Endpoint are those of STS; "" takes the region of the configuration, and the region's endpoint.
	Region, Endpoint string
	// Transport makes the calls of STS.
	Transport http.RoundTripper
}

// As gives the configuration for calling AWS as a role, which cfg's credentials must be allowed to assume.
// Nothing is called yet: AssumeRole goes out with the first call, and again before its credentials
// expire. A role that cannot be assumed reaches the caller of a client as a *CredentialsError.
func (r Role) As(cfg Config) Config {
	client := sts.NewFromConfig(cfg, func(o *sts.Options) {
		o.HTTPClient = &http.Client{Transport: r.Transport}
		if r.Region != "" {
			o.Region = r.Region
		}
		if r.Endpoint != "" {
			o.BaseEndpoint = &r.Endpoint
		}
	})
	provider := stscreds.NewAssumeRoleProvider(client, r.ARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = r.SessionName
		if r.ExternalID != "" {
			o.ExternalID = &r.ExternalID
		}
	})
	as := cfg.Copy()
	as.Credentials = credentials{aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) {
		// Several calls in flight must not meet credentials that end under them.
		o.ExpiryWindow = expiryWindow
		o.ExpiryWindowJitterFrac = 0.5
	})}
	return as
}
