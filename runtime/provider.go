package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
)

// Provider looks values up that configurations refer to by ${provider:[path:]key} (KIP-297). It is
// safe for concurrent use.
type Provider interface {
	// Lookup gives the value of key at path, which is "" when the placeholder has none. ok is false
	// for a key that does not exist; an error means that the place could not be read.
	Lookup(ctx context.Context, path, key string) (value config.Secret, ok bool, err error)
}

// expiring is an optional interface of a Provider whose values change: TTL is how long one holds, 0 for ever.
type expiring interface {
	TTL() time.Duration
}

// ProviderKind makes a provider from its config.providers.<name>.param.* keys.
type ProviderKind func(params map[string]string) (Provider, error)

// builtinProviders are Kafka's own, by class name.
func builtinProviders() map[string]ProviderKind {
	return map[string]ProviderKind{
		"org.apache.kafka.common.config.provider.FileConfigProvider":      newFileProvider,
		"org.apache.kafka.common.config.provider.DirectoryConfigProvider": newDirProvider,
		"org.apache.kafka.common.config.provider.EnvVarConfigProvider":    newEnvProvider,
	}
}

// Providers resolves the placeholders of configurations. Results are for the moment of use: they are
// never stored or shown.
type Providers struct{ byName map[string]Provider }

// NewProviders makes the providers that a worker's config.providers names. more adds classes to
// Kafka's own three. The error lists every provider that cannot be made.
func NewProviders(worker map[string]string, more map[string]ProviderKind) (*Providers, error) {
	kinds := builtinProviders()
	for class, kind := range more {
		kinds[class] = kind
	}
	p := &Providers{byName: map[string]Provider{}}
	var problems []error
	for _, name := range config.SplitList(worker["config.providers"]) {
		if name == "" {
			continue
		}
		prefix := "config.providers." + name + "."
		class := config.Trim(worker[prefix+"class"])
		kind, ok := kinds[class]
		if !ok {
			problems = append(problems, fmt.Errorf("%sclass: %q is no config provider; known are %s", prefix, class, strings.Join(sortedKeys(kinds), ", ")))
			continue
		}
		params := map[string]string{}
		for k, v := range worker {
			if rest, ok := strings.CutPrefix(k, prefix+"param."); ok {
				params[rest] = v
			}
		}
		made, err := kind(params)
		if err != nil {
			problems = append(problems, fmt.Errorf("config provider %s: %w", name, err))
			continue
		}
		p.byName[name] = made
	}
	return p, errors.Join(problems...)
}

// placeholder is Kafka's ConfigTransformer.DEFAULT_PATTERN.
var placeholder = regexp.MustCompile(`\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`)

// Resolve gives a copy of cfg with every placeholder replaced whose provider and key exist; others stay
// as they are, and results are not looked at again (as Kafka's ConfigTransformer does). The error
// names the keys whose place could not be read, never a value.
func (p *Providers) Resolve(ctx context.Context, cfg map[string]*string) (map[string]*string, error) {
	out := make(map[string]*string, len(cfg))
	var problems []error
	for _, name := range sortedKeys(cfg) {
		v := cfg[name]
		if v != nil && strings.Contains(*v, "${") {
			resolved, err := p.resolve(ctx, *v)
			if err != nil {
				problems = append(problems, fmt.Errorf("configuration %s: %w", name, err))
			}
			v = &resolved
		}
		out[name] = v
	}
	return out, errors.Join(problems...)
}

// TTL gives how long the values hold that cfg's placeholders stand for: the shortest time of their providers, 0 for ever.
func (p *Providers) TTL(cfg map[string]*string) time.Duration {
	ttl := time.Duration(0)
	for _, v := range cfg {
		if v == nil {
			continue
		}
		for _, m := range placeholder.FindAllStringSubmatch(*v, -1) {
			if e, ok := p.byName[m[1]].(expiring); ok && e.TTL() > 0 && (ttl == 0 || e.TTL() < ttl) {
				ttl = e.TTL()
			}
		}
	}
	return ttl
}

// changedKeys names the keys whose resolved values differ, sorted.
func changedKeys(before, after map[string]*string) []string {
	var keys []string
	for _, k := range sortedKeys(after) {
		if !equalText(before[k], after[k]) {
			keys = append(keys, k)
		}
	}
	return keys
}

func (p *Providers) resolve(ctx context.Context, text string) (string, error) {
	var problems []error
	resolved := placeholder.ReplaceAllStringFunc(text, func(whole string) string {
		m := placeholder.FindStringSubmatch(whole)
		provider, ok := p.byName[m[1]]
		if !ok {
			return whole
		}
		v, ok, err := provider.Lookup(ctx, m[3], m[4])
		if err != nil {
			problems = append(problems, fmt.Errorf("placeholder %s: %w", whole, err))
		}
		if err != nil || !ok {
			return whole
		}
		return v.Reveal()
	})
	return resolved, errors.Join(problems...)
}

// allowedPaths is the parameter allowed.paths of the file and directory providers (KIP-993): when it is
// set, only what lies under one of them is read.
type allowedPaths []string

func newAllowedPaths(params map[string]string) (allowedPaths, error) {
	var a allowedPaths
	for _, p := range config.SplitList(params["allowed.paths"]) {
		if !filepath.IsAbs(p) {
			return nil, fmt.Errorf("allowed.paths: %q is not absolute", p)
		}
		a = append(a, filepath.Clean(p))
	}
	return a, nil
}

func (a allowedPaths) check(path string) error {
	clean := filepath.Clean(path)
	within := func(base string) bool {
		rel, err := filepath.Rel(base, clean)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
	}
	if len(a) > 0 && !slices.ContainsFunc(a, within) {
		return fmt.Errorf("%s is not under allowed.paths", path)
	}
	return nil
}

// expires is the parameter ttl.ms of the file and directory providers, which Kafka's do not have: how often files are
// read again for tasks that run on them. Mounted secrets change under a pod that lives.
type expires time.Duration

func newExpires(params map[string]string) (expires, error) {
	text, ok := params["ttl.ms"]
	if !ok {
		return 0, nil
	}
	ms, err := strconv.ParseInt(config.Trim(text), 10, 64)
	if err != nil || ms < 0 {
		return 0, fmt.Errorf("ttl.ms: %q is no number of milliseconds, 0 for never", text)
	}
	return expires(ms * int64(time.Millisecond)), nil
}

// TTL implements expiring.
func (e expires) TTL() time.Duration { return time.Duration(e) }

// fileProvider reads ${file:/path/x.properties:key}.
type fileProvider struct {
	expires
	allowed allowedPaths
}

func newFileProvider(params map[string]string) (Provider, error) {
	a, err := newAllowedPaths(params)
	e, ttlErr := newExpires(params)
	return fileProvider{e, a}, errors.Join(err, ttlErr)
}

func (p fileProvider) Lookup(_ context.Context, path, key string) (config.Secret, bool, error) {
	if path == "" {
		return "", false, nil
	}
	if err := p.allowed.check(path); err != nil {
		return "", false, err
	}
	f, err := LoadProperties(path)
	if err != nil {
		return "", false, err
	}
	v, ok := f.Values[key]
	return config.Secret(v), ok, nil
}

// dirProvider reads ${dir:/path:filename}: the file's whole content is the value.
type dirProvider struct {
	expires
	allowed allowedPaths
}

func newDirProvider(params map[string]string) (Provider, error) {
	a, err := newAllowedPaths(params)
	e, ttlErr := newExpires(params)
	return dirProvider{e, a}, errors.Join(err, ttlErr)
}

func (p dirProvider) Lookup(_ context.Context, path, key string) (config.Secret, bool, error) {
	if path == "" || key == "" || filepath.Base(key) != key || key == ".." || key == "." {
		return "", false, nil
	}
	if err := p.allowed.check(path); err != nil {
		return "", false, err
	}
	b, err := os.ReadFile(filepath.Join(path, key))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return config.Secret(b), err == nil, err
}

// envProvider reads ${env:VARIABLE}.
type envProvider struct{ allowed *regexp.Regexp }

func newEnvProvider(params map[string]string) (Provider, error) {
	pattern, ok := params["allowlist.pattern"]
	if !ok {
		pattern = ".*"
	}
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return nil, fmt.Errorf("allowlist.pattern: %w", err)
	}
	return envProvider{re}, nil
}

func (p envProvider) Lookup(_ context.Context, path, key string) (config.Secret, bool, error) {
	if path != "" {
		return "", false, errors.New("the environment has no path: write ${env:VARIABLE}")
	}
	if !p.allowed.MatchString(key) {
		return "", false, nil
	}
	v, ok := os.LookupEnv(key)
	return config.Secret(v), ok, nil
}
