package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Token is what a client shows a broker under SASL OAUTHBEARER (RFC 7628).
type Token struct {
	Value      string    // the secret itself
	Principal  string    // whom the token stands for; brokers do not read it
	Expires    time.Time // when brokers stop to accept it
	Extensions map[string]string
}

// String hides the token's value.
func (t Token) String() string {
	return fmt.Sprintf("token of %q until %s", t.Principal, t.Expires.UTC().Format(time.RFC3339))
}

// GoString hides the token's value.
func (t Token) GoString() string { return t.String() }

// TokenFunc fetches a token that is valid from now on. It is called when a client opens and again
// when four fifths of a token's life have passed; it is given tokenTimeout.
type TokenFunc func(ctx context.Context) (Token, error)

const tokenTimeout = 30 * time.Second

// tokenTaker is what all three clients of the library offer.
type tokenTaker interface {
	SetOAuthBearerToken(ck.OAuthBearerToken) error
	SetOAuthBearerTokenFailure(string) error
}

// giveToken fetches a token and hands it to the client. On failure the client is told, so that it
// asks again 10 s later; a token that it has keeps its connections open meanwhile.
func giveToken(ctx context.Context, fetch TokenFunc, to tokenTaker) (Token, error) {
	if fetch == nil {
		err := fmt.Errorf("sasl.mechanism=OAUTHBEARER without a way to get tokens: set sasl.oauthbearer.method=oidc with its keys, or use AWS_MSK_IAM")
		return Token{}, tokenFailed(to, err)
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	t, err := fetch(ctx)
	if err != nil {
		return Token{}, tokenFailed(to, fmt.Errorf("get a SASL OAUTHBEARER token: %w", err))
	}
	err = to.SetOAuthBearerToken(ck.OAuthBearerToken{
		TokenValue: t.Value, Expiration: t.Expires, Principal: t.Principal, Extensions: t.Extensions,
	})
	if err != nil {
		return Token{}, tokenFailed(to, fmt.Errorf("use %s: %w", t, err))
	}
	return t, nil
}

func tokenFailed(to tokenTaker, err error) error {
	// The client's own complaint about this call adds nothing to err.
	_ = to.SetOAuthBearerTokenFailure(err.Error())
	return err
}

// tokenKeeper renews the token of a client that has no event queue to ask for one: the admin client.
type tokenKeeper struct {
	fetch TokenFunc

	mu    sync.Mutex // guards renew
	renew time.Time  // when four fifths of the present token's life have passed; zero before the first
}

// keep sees to it that the client holds a token that is good for a while.
func (k *tokenKeeper) keep(ctx context.Context, to tokenTaker) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if now.Before(k.renew) {
		return nil
	}
	t, err := giveToken(ctx, k.fetch, to)
	if err != nil {
		return err
	}
	k.renew = now.Add(t.Expires.Sub(now) * 4 / 5)
	return nil
}
