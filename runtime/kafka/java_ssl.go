package kafka

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// storeKind tells what a key or trust store is: by its type property, else by the file's ending,
// else what Java assumes.
func storeKind(kind, location string) string {
	if kind != "" {
		return strings.ToUpper(kind)
	}
	switch strings.ToLower(filepath.Ext(location)) {
	case ".p12", ".pfx", ".pkcs12":
		return "PKCS12"
	case ".pem", ".crt", ".cer":
		return "PEM"
	}
	return "JKS"
}

// ssl combines the certificate properties.
func (t *translation) ssl() {
	t.truststore()
	t.keystore()
	t.protocols()
	for _, key := range []string{"ssl.keymanager.algorithm", "ssl.trustmanager.algorithm"} {
		switch v := t.in[key]; v {
		case "":
		case "SunX509", "NewSunX509", "PKIX", "X509":
			t.ignored(key, "OpenSSL checks chains by the same rules (RFC 5280)")
		default:
			t.fail(key, "Java algorithms cannot be loaded; remove it")
		}
	}
}

func (t *translation) truststore() {
	location, inline := t.in["ssl.truststore.location"], t.in["ssl.truststore.certificates"]
	kind := storeKind(t.in["ssl.truststore.type"], location)
	if location == "" && inline == "" {
		return
	}
	if t.in["ssl.truststore.password"] != "" && kind == "PEM" {
		t.ignored("ssl.truststore.password", "PEM certificates have no password")
	}
	switch {
	case inline != "":
		text, err := pemText(inline)
		if err != nil {
			t.fail("ssl.truststore.certificates", err.Error())
			return
		}
		t.set("ssl.truststore.certificates", "ssl.ca.pem", text)
	case kind == "PEM":
		t.set("ssl.truststore.location", "ssl.ca.location", location)
	case t.in["ssl.ca.location"] != "" || t.in["ssl.ca.pem"] != "":
		t.ignored("ssl.truststore.location", "ssl.ca.location or ssl.ca.pem is set too, and wins")
	default:
		t.fail("ssl.truststore.location", fmt.Sprintf("librdkafka cannot read a %s trust store; export it with \"keytool -list -rfc -keystore %s > ca.pem\" and set ssl.truststore.type=PEM and ssl.truststore.location=ca.pem", kind, location))
	}
}

func (t *translation) keystore() {
	location := t.in["ssl.keystore.location"]
	kind := storeKind(t.in["ssl.keystore.type"], location)
	if pass := t.in["ssl.key.password"]; pass != "" {
		t.res.Properties["ssl.key.password"] = pass
	}
	for key, to := range map[string]string{"ssl.keystore.certificate.chain": "ssl.certificate.pem", "ssl.keystore.key": "ssl.key.pem"} {
		if v := t.in[key]; v != "" {
			text, err := pemText(v)
			if err != nil {
				t.fail(key, err.Error())
				continue
			}
			t.set(key, to, text)
		}
	}
	switch {
	case location == "":
	case kind == "PKCS12":
		t.res.Properties["ssl.keystore.location"] = location
		if pass := t.in["ssl.keystore.password"]; pass != "" {
			t.res.Properties["ssl.keystore.password"] = pass
		}
		if p := t.in["ssl.key.password"]; p != "" && p != t.in["ssl.keystore.password"] {
			t.fail("ssl.key.password", "a PKCS12 key store has one password for all; it differs from ssl.keystore.password")
		}
	case kind == "PEM": // one file holds the chain and the key; OpenSSL takes what it looks for
		t.set("ssl.keystore.location", "ssl.certificate.location", location)
		t.set("ssl.keystore.location", "ssl.key.location", location)
	default:
		t.fail("ssl.keystore.location", fmt.Sprintf("librdkafka cannot read a %s key store; convert it with \"keytool -importkeystore -srckeystore %s -destkeystore client.p12 -deststoretype PKCS12\" and set ssl.keystore.type=PKCS12 and ssl.keystore.location=client.p12", kind, location))
	}
}

func (t *translation) protocols() {
	switch v := t.in["ssl.protocol"]; v {
	case "":
	case "TLS", "TLSv1.2", "TLSv1.3":
		t.ignored("ssl.protocol", "the newest version that both sides know is used, TLS 1.2 or later")
	default:
		t.fail("ssl.protocol", "only TLS 1.2 and later are spoken; remove it")
	}
	if v := t.in["ssl.enabled.protocols"]; v != "" {
		has12 := false
		for p := range strings.SplitSeq(v, ",") {
			switch strings.TrimSpace(p) {
			case "TLSv1.2":
				has12 = true
			case "TLSv1.3":
			default:
				t.fail("ssl.enabled.protocols", "only TLSv1.2 and TLSv1.3 are spoken; remove the others")
				return
			}
		}
		if !has12 {
			t.fail("ssl.enabled.protocols", "librdkafka cannot switch TLSv1.2 off; add it here and switch it off in the brokers' ssl.enabled.protocols")
			return
		}
		t.ignored("ssl.enabled.protocols", "the newest version that both sides know is used, TLS 1.2 or later")
	}
	if v := t.in["ssl.cipher.suites"]; v != "" {
		if strings.Contains(v, "TLS_") || strings.Contains(v, "SSL_") {
			t.fail("ssl.cipher.suites", "give OpenSSL's names, with ':' between them (ECDHE-RSA-AES256-GCM-SHA384 for TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)")
			return
		}
		t.res.Properties["ssl.cipher.suites"] = strings.ReplaceAll(strings.ReplaceAll(v, " ", ""), ",", ":")
	}
}

// pemText lays PEM out in lines again: Java reads it on one line too, OpenSSL does not.
func pemText(v string) (string, error) {
	blocks := regexp.MustCompile(`(?s)-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END ([A-Z0-9 ]+)-----`).FindAllStringSubmatch(strings.ReplaceAll(v, `\n`, "\n"), -1)
	if len(blocks) == 0 {
		return "", errors.New("this is no PEM text: -----BEGIN … and -----END … are missing")
	}
	var b strings.Builder
	for _, m := range blocks {
		if m[1] != m[3] {
			return "", errors.New("this is no PEM text: BEGIN and END do not match")
		}
		body := m[2]
		fmt.Fprintf(&b, "-----BEGIN %s-----\n", m[1])
		if head, rest, ok := pemHeaders(body); ok { // an encrypted key of the old form
			b.WriteString(head)
			body = rest
		}
		body = strings.Join(strings.Fields(body), "")
		for ; len(body) > 64; body = body[64:] {
			b.WriteString(body[:64] + "\n")
		}
		fmt.Fprintf(&b, "%s\n-----END %s-----\n", body, m[1])
	}
	return b.String(), nil
}

// pemHeaders splits RFC 1421 headers (Proc-Type, DEK-Info) from the body; they must be on lines of their own.
func pemHeaders(body string) (head, rest string, ok bool) {
	head, rest, ok = strings.Cut(strings.TrimLeft(strings.ReplaceAll(body, "\r", ""), "\n"), "\n\n")
	return head + "\n\n", rest, ok && strings.Contains(head, ":")
}
