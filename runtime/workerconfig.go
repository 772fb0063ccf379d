package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector/config"
)

// WorkerConfig is a worker's configuration, read and found sound.
type WorkerConfig struct {
	Distributed bool
	// Values are the keys of WorkerDef; Raw is everything as given, placeholders resolved.
	Values config.Values
	Raw    map[string]string
}

// String gives the configuration with its secrets hidden.
func (c *WorkerConfig) String() string {
	return fmt.Sprint(config.Hide(c.Raw, WorkerDef(c.Distributed)))
}

// GoString is String: no verb shows a secret.
func (c *WorkerConfig) GoString() string { return c.String() }

// LogValue is for slog what String is.
func (c *WorkerConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ParseWorkerConfig reads a worker's configuration and makes its config providers, which may resolve
// placeholders of that same configuration. The error is a *config.Errors, or says which provider
// cannot be made; nothing of a secret is in it.
func ParseWorkerConfig(ctx context.Context, raw map[string]string, distributed bool, kinds map[string]ProviderKind) (*WorkerConfig, *Providers, error) {
	providers, providerErr := NewProviders(raw, kinds)
	given := make(map[string]*string, len(raw))
	for k, v := range raw {
		given[k] = &v
	}
	resolved, resolveErr := providers.Resolve(ctx, given)
	c := &WorkerConfig{Distributed: distributed, Raw: withoutNulls(resolved)}
	values, err := WorkerDef(distributed).Parse(c.Raw)
	if err := errors.Join(err, providerErr, resolveErr); err != nil {
		return nil, nil, err
	}
	c.Values = values
	return c, providers, nil
}

// LoadWorkerConfig reads a worker's .properties file. The error names the file and, where there is one, the line
// of each mistake, all at once.
func LoadWorkerConfig(ctx context.Context, path string, distributed bool, kinds map[string]ProviderKind) (*WorkerConfig, *Providers, error) {
	f, err := LoadProperties(path)
	if err != nil {
		return nil, nil, err
	}
	c, providers, err := ParseWorkerConfig(ctx, f.Values, distributed, kinds)
	return c, providers, f.Explain(err)
}

// AdvertisedURL is where others reach this worker: the advertised listener with host and port as
// rest.advertised.* say, else as it listens. bound gives the address that a listener (as listeners
// spells it) was bound to, for ports that were 0; it may be nil.
func (c *WorkerConfig) AdvertisedURL(bound func(listener string) net.Addr) string {
	listener := c.advertisedListener()
	u, err := url.Parse(listener)
	if err != nil {
		return listener // refused by WorkerDef
	}
	host, port := u.Hostname(), u.Port()
	if bound != nil {
		if a, ok := bound(listener).(*net.TCPAddr); ok {
			port = portText(a.Port)
		}
	}
	if h := c.Values.String("rest.advertised.host.name"); h != "" {
		host = h
	} else if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if h, err := os.Hostname(); err == nil {
			host = h
		}
	}
	if c.Values.Has("rest.advertised.port") {
		port = portText(c.Values.Int("rest.advertised.port"))
	}
	return strings.ToLower(u.Scheme) + "://" + net.JoinHostPort(host, port)
}

// WorkerID is how statuses name the worker: host:port of its advertised URL.
func (c *WorkerConfig) WorkerID(bound func(listener string) net.Addr) string {
	_, hostPort, _ := strings.Cut(c.AdvertisedURL(bound), "://")
	return hostPort
}

func (c *WorkerConfig) advertisedListener() string {
	listeners := c.Values.List("listeners")
	if len(listeners) == 0 {
		return defaultListener
	}
	scheme := c.Values.String("rest.advertised.listener")
	if scheme == "" {
		scheme = "http"
	}
	i := slices.IndexFunc(listeners, func(l string) bool { return strings.HasPrefix(strings.ToLower(l), scheme+"://") })
	return listeners[max(0, i)]
}

func portText(port int) string { return strconv.Itoa(port) }
