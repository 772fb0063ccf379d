package avro

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
)

// settings is what a registry client is made from. Two converters with equal settings share one.
type settings struct {
	endpoints []endpoint
	bearer    config.Secret
	proxy     string // host:port, "" for what the environment says
	tls       tlsSettings

	connectTimeout time.Duration
	readTimeout    time.Duration
	retries        int           // further attempts after the first
	wait, maxWait  time.Duration // between attempts: the first wait doubles up to maxWait

	cacheSize int
	fullNames bool
}

// endpoint is one URL of the registry, without user info and without a slash at its end.
type endpoint struct {
	url      string
	user     string
	password config.Secret
}

// tlsSettings are the schema.registry.ssl.* keys, all PEM.
type tlsSettings struct {
	authorities     string // file
	authoritiesText config.Secret
	identity        string // file with the private key and the certificate chain
	key             config.Secret
	chain           config.Secret
	anyHost         bool // ssl.endpoint.identification.algorithm is empty
}

func newSettings(v config.Values) (settings, error) {
	s := settings{
		bearer:         v.Password(keyBearerToken),
		connectTimeout: v.Duration(keyConnectTimeout),
		readTimeout:    v.Duration(keyReadTimeout),
		retries:        v.Int(keyRetries),
		wait:           v.Duration(keyRetryWait),
		maxWait:        v.Duration(keyRetryMaxWait),
		cacheSize:      v.Int(keyCacheSize),
		fullNames:      v.Bool(keyEnhanced),
	}
	if host := v.String(keyProxyHost); host != "" {
		s.proxy = fmt.Sprintf("%s:%d", host, v.Int(keyProxyPort))
	}
	var errs []error
	for _, text := range v.List(keyURL) {
		e, err := newEndpoint(text)
		errs = append(errs, err)
		s.endpoints = append(s.endpoints, e)
	}
	if len(s.endpoints) == 0 {
		errs = append(errs, errors.New(keyURL+" names no URL"))
	}
	errs = append(errs, s.credentials(v))
	var err error
	s.tls, err = newTLSSettings(v)
	return s, errors.Join(append(errs, err)...)
}

// newEndpoint reads one URL. Its errors hold nothing of the text, which may carry a password.
func newEndpoint(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return endpoint{}, errors.New(keyURL + " has an entry that is no http:// or https:// URL")
	}
	e := endpoint{}
	if u.User != nil {
		password, _ := u.User.Password()
		e.user, e.password = u.User.Username(), config.Secret(password)
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	e.url = strings.TrimRight(u.String(), "/")
	return e, nil
}

// credentials puts on the endpoints what basic.auth.* says, and checks that the sources named
// are ones that exist here.
func (s *settings) credentials(v config.Values) error {
	if v.String(keyBearerSource) != "" && s.bearer == "" {
		return fmt.Errorf("%s is STATIC_TOKEN and %s is not set", keyBearerSource, keyBearerToken)
	}
	if v.String(keyBearerSource) == "" {
		s.bearer = ""
	}
	if v.String(keyBasicSource) != "USER_INFO" {
		return nil
	}
	info := v.Password(keyUserInfo).Reveal()
	if info == "" {
		info = v.Password("schema.registry." + keyUserInfo).Reveal()
	}
	user, password, ok := strings.Cut(info, ":")
	if !ok || user == "" {
		return fmt.Errorf("%s is USER_INFO and %s is not of the form user:password", keyBasicSource, keyUserInfo)
	}
	for i := range s.endpoints {
		s.endpoints[i].user, s.endpoints[i].password = user, config.Secret(password)
	}
	return nil
}

// fingerprint is equal for equal settings.
func (s settings) fingerprint() string {
	var b strings.Builder
	add := func(parts ...any) {
		for _, p := range parts {
			if secret, ok := p.(config.Secret); ok {
				p = secret.Reveal()
			}
			fmt.Fprintf(&b, "%q\n", fmt.Sprint(p))
		}
	}
	for _, e := range s.endpoints {
		add(e.url, e.user, e.password)
	}
	add("", s.bearer, s.proxy, s.connectTimeout, s.readTimeout, s.retries, s.wait, s.maxWait, s.cacheSize, s.fullNames)
	add(s.tls.authorities, s.tls.authoritiesText, s.tls.identity, s.tls.key, s.tls.chain, s.tls.anyHost)
	return b.String()
}
