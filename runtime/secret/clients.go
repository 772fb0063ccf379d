package secret

import (
	"context"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stepconnect/stepconnect/internal/aws"
)

// connections is how many calls a provider has open at a time.
const connections = 8

// SecretsManager makes the provider of AWS Secrets Manager. AWS is not asked yet.
func SecretsManager(params map[string]string) (*Provider, error) {
	s, err := parse(params)
	if err != nil {
		return nil, err
	}
	return newProvider("secret", s, &secrets{lazy[*secretsmanager.Client]{open: func(ctx context.Context) (*secretsmanager.Client, error) {
		cfg, client, err := s.load(ctx)
		if err != nil {
			return nil, err
		}
		return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
			o.HTTPClient = client
			if s.endpoint != "" {
				o.BaseEndpoint = &s.endpoint
			}
		}), nil
	}}}), nil
}

// ParameterStore makes the provider of AWS Systems Manager Parameter Store. AWS is not asked yet.
func ParameterStore(params map[string]string) (*Provider, error) {
	s, err := parse(params)
	if err != nil {
		return nil, err
	}
	return newProvider("parameter", s, &parameters{lazy[*ssm.Client]{open: func(ctx context.Context) (*ssm.Client, error) {
		cfg, client, err := s.load(ctx)
		if err != nil {
			return nil, err
		}
		return ssm.NewFromConfig(cfg, func(o *ssm.Options) {
			o.HTTPClient = client
			if s.endpoint != "" {
				o.BaseEndpoint = &s.endpoint
			}
		}), nil
	}}}), nil
}

// load gives the configuration and the connections of a client.
func (s settings) load(ctx context.Context) (aws.Config, *http.Client, error) {
	cfg, err := aws.Load(ctx, s.region)
	if err != nil {
		return cfg, nil, err
	}
	transport := aws.NewTransport(connections)
	if s.role.ARN != "" {
		role := s.role
		role.Transport = transport
		cfg = role.As(cfg)
	}
	return cfg, &http.Client{Transport: transport}, nil
}

// lazy is a client that is made by its first use; one that could not be made is tried again by the next.
type lazy[C any] struct {
	open func(context.Context) (C, error)

	mu     sync.Mutex // guards the fields below
	made   bool
	client C
}

func (l *lazy[C]) get(ctx context.Context) (C, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made {
		return l.client, nil
	}
	c, err := l.open(ctx)
	if err == nil {
		l.client, l.made = c, true
	}
	return c, err
}

type secrets struct {
	client lazy[*secretsmanager.Client]
}

func (s *secrets) get(ctx context.Context, name string) (string, error) {
	c, err := s.client.get(ctx)
	if err != nil {
		return "", err
	}
	out, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	switch {
	case err != nil:
		return "", err
	case out.SecretString != nil:
		return *out.SecretString, nil
	}
	return string(out.SecretBinary), nil
}

type parameters struct{ client lazy[*ssm.Client] }

func (p *parameters) get(ctx context.Context, name string) (string, error) {
	c, err := p.client.get(ctx)
	if err != nil {
		return "", err
	}
	decrypt := true
	out, err := c.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: &decrypt})
	if err != nil {
		return "", err
	}
	if out.Parameter == nil || out.Parameter.Value == nil {
		return "", nil
	}
	return *out.Parameter.Value, nil
}
