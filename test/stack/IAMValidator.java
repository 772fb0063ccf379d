package stepconnect.test;

import java.io.IOException;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.time.ZoneOffset;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerExtensionsValidatorCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;

/**
 * Takes the tokens of Amazon MSK's IAM: a URL of kafka-cluster:Connect, presigned by AWS's Signature Version 4, in base64url.
 * The signature is computed again with the one secret that this broker knows. Written from AWS's documentation of the
 * signature, not from the signer that is tested.
 */
public final class IAMValidator implements AuthenticateCallbackHandler {
    private final String accessKey = System.getProperty("stepconnect.iam.access.key");
    private final String secret = System.getProperty("stepconnect.iam.secret");
    private final String region = System.getProperty("stepconnect.iam.region");
    private final long lifeMs = Long.getLong("stepconnect.iam.life.ms");

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> jaas) {}

    @Override
    public void close() {}

    @Override
    public void handle(Callback[] callbacks) throws IOException, UnsupportedCallbackException {
        for (Callback c : callbacks) {
            if (c instanceof OAuthBearerValidatorCallback v) {
                try {
                    v.token(check(v.tokenValue()));
                } catch (Exception e) {
                    System.out.println("IAMValidator refuses a token: " + e.getMessage());
                    v.error("invalid_token", null, null);
                }
            } else if (c instanceof OAuthBearerExtensionsValidatorCallback x) {
                x.inputExtensions().map().keySet().forEach(x::valid);
            } else {
                throw new UnsupportedCallbackException(c);
            }
        }
    }

    private OAuthBearerToken check(String value) throws Exception {
        URI url = URI.create(new String(Base64.getUrlDecoder().decode(value), StandardCharsets.UTF_8));
        // As they were sent, by name: the order of the canonical request.
        TreeMap<String, String> query = new TreeMap<>();
        for (String part : url.getRawQuery().split("&")) {
            int at = part.indexOf('=');
            query.put(part.substring(0, at), part.substring(at + 1));
        }
        String signature = query.remove("X-Amz-Signature");
        query.remove("User-Agent"); // added behind the signature
        String date = query.get("X-Amz-Date");
        String scope = date.substring(0, 8) + "/" + region + "/kafka-cluster/aws4_request";
        equal("host", url.getScheme() + "://" + url.getHost() + url.getPath(), "https://kafka." + region + ".amazonaws.com/");
        equal("action", decoded(query.get("Action")), "kafka-cluster:Connect");
        equal("algorithm", query.get("X-Amz-Algorithm"), "AWS4-HMAC-SHA256");
        equal("credential", decoded(query.get("X-Amz-Credential")), accessKey + "/" + scope);
        equal("signed headers", query.get("X-Amz-SignedHeaders"), "host");

        StringBuilder canonical = new StringBuilder();
        query.forEach((k, v) -> canonical.append(canonical.isEmpty() ? "" : "&").append(k).append('=').append(v));
        String request = "GET\n/\n" + canonical + "\nhost:" + url.getHost() + "\n\nhost\n" + hash("");
        String toSign = "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hash(request);
        byte[] key = ("AWS4" + secret).getBytes(StandardCharsets.UTF_8);
        for (String step : scope.split("/")) {
            key = mac(key, step);
        }
        equal("signature", signature, HexFormat.of().formatHex(mac(key, toSign)));

        long start = Instant.from(DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC).parse(date)).toEpochMilli();
        long end = start + Math.min(lifeMs, Long.parseLong(query.get("X-Amz-Expires")) * 1000);
        if (System.currentTimeMillis() >= end) {
            throw new IllegalArgumentException("it ended at " + Instant.ofEpochMilli(end));
        }
        return new OAuthBearerToken() {
            @Override public String value() { return value; }
            @Override public Set<String> scope() { return Set.of(); }
            @Override public long lifetimeMs() { return end; }
            @Override public String principalName() { return accessKey; }
            @Override public Long startTimeMs() { return start; }
        };
    }

    private static void equal(String what, String got, String want) {
        if (!want.equals(got)) {
            throw new IllegalArgumentException("its " + what + " is " + got + ", want " + want);
        }
    }

    private static String decoded(String text) {
        return URLDecoder.decode(text, StandardCharsets.UTF_8);
    }

    private static String hash(String text) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    }

    private static byte[] mac(byte[] key, String text) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
    }
}
