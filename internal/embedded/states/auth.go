package states

import (
	"net/http"
	"strings"
)

const algorithm = "AWS4-HMAC-SHA256"

// credential finds the access key id and the region in an Authorization header of Signature Version 4:
// "AWS4-HMAC-SHA256 Credential=AKID/20261124/sa-east-1/states/aws4_request, SignedHeaders=…, Signature=…".
func credential(header string) (accessKeyID, region string) {
	_, rest, found := strings.Cut(header, "Credential=")
	if !found {
		return "", ""
	}
	scope, _, _ := strings.Cut(rest, ",")
	parts := strings.Split(strings.TrimSpace(scope), "/")
	if len(parts) != 5 {
		return parts[0], ""
	}
	return parts[0], parts[2]
}

// authenticate refuses what AWS refuses before it knows who calls. The signature itself is not checked.
func (e *Endpoint) authenticate(r *http.Request, c Call) *apiError {
	if _, expired := e.expired.Load(c.AccessKey); expired && c.AccessKey != "" {
		return newError("ExpiredTokenException", "%s", messageOf("ExpiredTokenException"))
	}
	if !e.o.RequireAuth {
		return nil
	}
	header := r.Header.Get("Authorization")
	if !strings.HasPrefix(header, algorithm+" ") {
		return newError("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	for _, part := range []string{"Credential=", "SignedHeaders=", "Signature="} {
		if !strings.Contains(header, part) {
			return newError("IncompleteSignatureException", "Authorization header requires '%s' parameter.", strings.TrimSuffix(part, "="))
		}
	}
	if c.Region == "" || r.Header.Get("X-Amz-Date") == "" {
		return newError("IncompleteSignatureException", "Authorization header requires a credential scope and an 'X-Amz-Date' header.")
	}
	return nil
}
