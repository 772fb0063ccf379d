package kafka

import (
	"maps"
	"slices"
	"strings"
)

const iamHandler = "software.amazon.msk.auth.iam."

// sasl combines the properties of authentication.
func (t *translation) sasl() {
	mechanism := strings.ToUpper(t.in["sasl.mechanism"])
	if mechanism == "" {
		mechanism = strings.ToUpper(t.in["sasl.mechanisms"])
	}
	t.kerberos(mechanism)
	used := strings.HasPrefix(strings.ToUpper(t.in["security.protocol"]), "SASL")
	jaas := t.in["sasl.jaas.config"]
	if !used {
		for _, key := range []string{"sasl.jaas.config", "sasl.client.callback.handler.class", "sasl.login.callback.handler.class", "sasl.mechanism"} {
			if t.in[key] != "" {
				t.ignored(key, "security.protocol is not SASL_SSL or SASL_PLAINTEXT")
			}
		}
		delete(t.res.Properties, "sasl.mechanisms")
		return
	}
	var l login
	if jaas != "" {
		var err error
		if l, err = parseJAAS(jaas); err != nil {
			t.fail("sasl.jaas.config", err.Error())
			return
		}
	}
	iam := t.handlers()
	switch {
	case mechanism == "" || mechanism == "GSSAPI":
		t.fail("sasl.mechanism", "GSSAPI (Kerberos, Java's default) is not in the bundled librdkafka; use SCRAM-SHA-512, PLAIN, OAUTHBEARER or AWS_MSK_IAM")
	case mechanism == "AWS_MSK_IAM" || mechanism == "OAUTHBEARER" && iam:
		t.mskIAM(l)
	case mechanism == "PLAIN":
		t.password(mechanism, "PlainLoginModule", l, jaas != "")
	case mechanism == "SCRAM-SHA-256" || mechanism == "SCRAM-SHA-512":
		t.password(mechanism, "ScramLoginModule", l, jaas != "")
	case mechanism == "OAUTHBEARER":
		t.oauth(l, jaas != "")
	default:
		t.fail("sasl.mechanism", "must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM")
	}
}

func (t *translation) kerberos(mechanism string) {
	gssapi := mechanism == "" || mechanism == "GSSAPI"
	for key := range t.in {
		if strings.HasPrefix(key, "sasl.kerberos.") && t.in[key] != "" && !gssapi {
			t.ignored(key, "sasl.mechanism is not GSSAPI")
		}
	}
}

// handlers checks the callback handler classes and reports whether one is Amazon's.
func (t *translation) handlers() (iam bool) {
	for _, key := range []string{"sasl.client.callback.handler.class", "sasl.login.callback.handler.class"} {
		class := t.in[key]
		switch {
		case class == "":
		case class == iamHandler+"IAMClientCallbackHandler", class == iamHandler+"IAMOAuthBearerLoginCallbackHandler":
			iam = true
		case key == "sasl.login.callback.handler.class" && (strings.HasSuffix(class, ".OAuthBearerLoginCallbackHandler") ||
			strings.HasSuffix(class, ".JaasClientOauthLoginCallbackHandler")):
		default:
			t.fail(key, "Java classes cannot be loaded; use the login handlers of Kafka, Strimzi or Amazon MSK, or none")
		}
	}
	return iam
}

// password serves PLAIN and SCRAM.
func (t *translation) password(mechanism, module string, l login, given bool) {
	t.res.Properties["sasl.mechanism"] = mechanism
	delete(t.res.Properties, "sasl.mechanisms")
	if !given {
		if t.in["sasl.username"] == "" || t.in["sasl.password"] == "" {
			t.fail("sasl.jaas.config", "it is missing; "+mechanism+" needs a user name and a password")
		}
		return
	}
	if !t.isModule(l, module, mechanism) {
		return
	}
	for option, value := range l.options {
		switch option {
		case "username":
			t.set("sasl.jaas.config", "sasl.username", value)
		case "password":
			t.set("sasl.jaas.config", "sasl.password", value)
		case "tokenauth":
			if strings.EqualFold(value, "true") {
				t.fail("sasl.jaas.config", "tokenauth (delegation tokens) is not supported; use the user's own credentials")
			}
		default:
			if !strings.HasPrefix(option, "user_") { // of a broker, without effect in a client
				t.fail("sasl.jaas.config", "option "+optionName(option)+" of "+module+" is not known; remove it")
			}
		}
	}
	if t.res.Properties["sasl.username"] == "" || t.res.Properties["sasl.password"] == "" {
		t.fail("sasl.jaas.config", "username or password is missing")
	}
}

// isModule compares the last part of the class name, since shaded clients put packages before it.
func (t *translation) isModule(l login, module, mechanism string) bool {
	if l.module == module || strings.HasSuffix(l.module, "."+module) {
		return true
	}
	t.fail("sasl.jaas.config", "the login module of sasl.mechanism="+mechanism+" must be "+module)
	return false
}

// oauth serves OAUTHBEARER with Kafka's own handler, Strimzi's, or unsecured tokens for development.
func (t *translation) oauth(l login, given bool) {
	p := t.res.Properties
	p["sasl.mechanism"] = "OAUTHBEARER"
	delete(p, "sasl.mechanisms")
	if given && !t.isModule(l, "OAuthBearerLoginModule", "OAUTHBEARER") {
		return
	}
	extensions := map[string]string{}
	unsecured := false
	for _, option := range slices.Sorted(maps.Keys(l.options)) {
		value := l.options[option]
		switch {
		case option == "clientId" || option == "oauth.client.id":
			t.set("sasl.jaas.config", "sasl.oauthbearer.client.id", value)
		case option == "clientSecret" || option == "oauth.client.secret":
			t.set("sasl.jaas.config", "sasl.oauthbearer.client.secret", value)
		case option == "scope" || option == "oauth.scope":
			t.set("sasl.jaas.config", "sasl.oauthbearer.scope", value)
		case option == "oauth.token.endpoint.uri":
			t.set("sasl.jaas.config", "sasl.oauthbearer.token.endpoint.url", value)
		case option == "unsecuredLoginStringClaim_sub":
			unsecured = true
			p["sasl.oauthbearer.config"] = "principal=" + value
			p["enable.sasl.oauthbearer.unsecure.jwt"] = "true"
		case strings.HasPrefix(option, "extension_"):
			extensions[strings.TrimPrefix(option, "extension_")] = value
		default:
			t.fail("sasl.jaas.config", "option "+optionName(option)+" of OAuthBearerLoginModule cannot be translated; known are clientId, clientSecret, scope, extension_…, oauth.client.id, oauth.client.secret, oauth.scope, oauth.token.endpoint.uri")
		}
	}
	if unsecured {
		return
	}
	if len(extensions) > 0 {
		list := make([]string, 0, len(extensions))
		for _, k := range slices.Sorted(maps.Keys(extensions)) {
			list = append(list, k+"="+extensions[k])
		}
		p["sasl.oauthbearer.extensions"] = strings.Join(list, ",")
	}
	if t.in["sasl.oauthbearer.method"] == "" {
		p["sasl.oauthbearer.method"] = "oidc"
	}
	for _, need := range []string{"sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret"} {
		if p["sasl.oauthbearer.method"] == "oidc" && p[need] == "" && p["sasl.oauthbearer.grant.type"] == "" && p["sasl.oauthbearer.metadata.authentication.type"] == "" {
			t.fail("sasl.jaas.config", need+" is missing: OAUTHBEARER needs a token endpoint, a client id and a client secret")
		}
	}
}

// mskIAM serves Amazon MSK's IAM: the same wire protocol as OAUTHBEARER with tokens that are signed here.
func (t *translation) mskIAM(l login) {
	if strings.ToUpper(t.in["security.protocol"]) != "SASL_SSL" {
		t.fail("security.protocol", "IAM on MSK needs SASL_SSL")
	}
	if l.module != "" && !strings.HasPrefix(l.module, iamHandler) && !strings.HasSuffix(l.module, "OAuthBearerLoginModule") {
		t.fail("sasl.jaas.config", "the login module "+iamHandler+"IAMLoginModule is expected")
		return
	}
	o := MSKIAM{Region: mskRegion(t.in["bootstrap.servers"])}
	for option, value := range l.options {
		switch option {
		case "awsProfileName":
			o.Profile = value
		case "awsRoleArn":
			o.RoleARN = value
		case "awsRoleSessionName":
			o.SessionName = value
		case "awsRoleExternalId":
			o.ExternalID = value
		case "awsStsRegion":
			t.adjusted("sasl.jaas.config", "awsStsRegion has no effect: STS of the cluster's region is asked")
		case "awsDebugCreds", "awsMaxRetries", "awsMaxBackOffTimeMs":
			t.adjusted("sasl.jaas.config", option+" has no effect here")
		default:
			t.fail("sasl.jaas.config", "option "+optionName(option)+" of IAMLoginModule cannot be translated; give credentials by the AWS default chain")
		}
	}
	t.res.Properties["sasl.mechanism"] = "OAUTHBEARER"
	delete(t.res.Properties, "sasl.mechanisms")
	t.res.MSKIAM = &o
}
