package config

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Hidden stands wherever a secret would be shown. A write whose value for a hidden key is exactly
// this text keeps the stored value.
const Hidden = "[hidden]"

// Secret is a text that no formatting verb, encoder or logger shows; only Reveal does. Two places
// do not ask a value's methods, so do not put one there: an unexported field of a struct that is
// printed (package fmt reflects on it), and the key of a map that is encoded as JSON.
type Secret string

// Reveal gives the text itself.
func (s Secret) Reveal() string { return string(s) }

// String gives [hidden].
func (s Secret) String() string { return Hidden }

// Format writes [hidden] for every verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Hidden) }

// MarshalJSON gives "[hidden]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Hidden + `"`), nil }

// MarshalText gives [hidden]; encoders other than JSON use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Hidden), nil }

// LogValue gives [hidden].
func (s Secret) LogValue() slog.Value { return slog.StringValue(Hidden) }

// LooksSecret tells whether a key's name is one whose value is hidden in every answer, status and
// log, whatever declares it. The name is taken in lower case; it looks secret when
//
//   - without its separators it contains password, passwd, passphrase, secret, credential, jaas,
//     apikey, privatekey, accesskey, accountkey, sharedkey, signingkey, encryptionkey,
//     keystorekey, userinfo, connectionstring or authorization, or
//   - one of its words ends with token, or is pass, pwd or pw,
//
// unless its last word says that the value only describes the secret: source, class, type, url,
// uri, endpoint, location, path, file, name, arn, id, algorithm, provider, version, enable,
// enabled, max, min, size, length, count, ms, seconds, ttl. So tokens.max, aws.access.key.id and
// sasl.oauthbearer.token.endpoint.url are shown.
func LooksSecret(key string) bool {
	words := strings.FieldsFunc(strings.ToLower(key), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) == 0 || slices.Contains(describingWords, words[len(words)-1]) {
		return false
	}
	joined := strings.Join(words, "")
	contains := func(s string) bool { return strings.Contains(joined, s) }
	isSecret := func(w string) bool {
		return strings.HasSuffix(w, "token") || w == "pass" || w == "pwd" || w == "pw"
	}
	return slices.ContainsFunc(secretParts, contains) || slices.ContainsFunc(words, isSecret)
}

var secretParts = []string{"password", "passwd", "passphrase", "secret", "credential", "jaas", "apikey", "privatekey", "accesskey",
	"accountkey", "sharedkey", "signingkey", "encryptionkey", "keystorekey", "userinfo", "connectionstring", "authorization"}

var describingWords = []string{"source", "class", "type", "url", "uri", "endpoint", "location", "path", "file", "name", "arn", "id", "algorithm",
	"provider", "version", "enable", "enabled", "max", "min", "size", "length", "count", "ms", "seconds", "ttl"}

// placeholders matches a text of nothing but config-provider placeholders, ${provider:[path:]key},
// and the punctuation between them: it names secrets and holds none.
var placeholders = regexp.MustCompile(`^[\s:,;@/]*(\$\{[^{}]*:[^{}]*\}[\s:,;@/]*)+$`)

// userInfo matches a URL that carries a password.
var userInfo = regexp.MustCompile(`://[^/\s@:]*:[^/\s@]+@`)

// Hide gives a copy of a configuration for showing: values of Password keys of d (which may be
// nil), of names that look secret, and URLs with a password in them become [hidden]. Empty values,
// and values of nothing but placeholders such as ${env:DB_PASSWORD}, stay.
func Hide(raw map[string]string, d *Def) map[string]string {
	shown := make(map[string]string, len(raw))
	if d == nil {
		d = New()
	}
	d = d.For(raw)
	for name, value := range raw {
		k, _ := d.Lookup(name)
		if hides(name, k.Type, value) {
			value = Hidden
		}
		shown[name] = value
	}
	return shown
}

func hides(name string, t Type, value string) bool {
	if value == "" || placeholders.MatchString(value) {
		return false
	}
	return t == Password || LooksSecret(name) || userInfo.MatchString(value)
}
