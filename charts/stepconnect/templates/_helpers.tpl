{{- define "stepconnect.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "stepconnect.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "stepconnect.labels" -}}
{{ include "stepconnect.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "stepconnect.headless" -}}
{{ include "stepconnect.fullname" . }}-headless
{{- end -}}

{{- define "stepconnect.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "stepconnect.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "stepconnect.authSecret" -}}
{{ default (printf "%s-auth" (include "stepconnect.fullname" .)) .Values.auth.existingSecret }}
{{- end -}}

{{- define "stepconnect.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* The name begins with "stepconnect", as the rights in configs/kafka/msk-policy.json say. */ -}}
{{- define "stepconnect.cluster" -}}
{{- if .Values.cluster.name -}}
{{ .Values.cluster.name }}
{{- else if hasPrefix "stepconnect" .Release.Name -}}
{{ .Release.Name }}
{{- else -}}
stepconnect-{{ .Release.Name }}
{{- end -}}
{{- end -}}

{{- /* What no JSON schema can say, or not in a sentence. */ -}}
{{- define "stepconnect.validate" -}}
{{- $v := .Values -}}
{{- if not $v.kafka.bootstrapServers -}}
{{- fail "kafka.bootstrapServers is not set: name the brokers as host:port, separated by commas (MSK with IAM: port 9098)." -}}
{{- end -}}
{{- range splitList "," $v.kafka.bootstrapServers -}}
{{- if not (regexMatch "^[^:/ ]+:[0-9]+$" (trim .)) -}}
{{- fail (printf "kafka.bootstrapServers: %q is not host:port." .) -}}
{{- end -}}
{{- end -}}
{{- if not $v.schemaRegistry.url -}}
{{- fail "schemaRegistry.url is not set: give the URL of the schema registry, for Apicurio the one that ends with /apis/ccompat/v7." -}}
{{- end -}}
{{- range splitList "," $v.schemaRegistry.url -}}
{{- if not (regexMatch "^https?://[^/ @]+(/.*)?$" (trim .)) -}}
{{- fail (printf "schemaRegistry.url: %q is not a URL with http:// or https:// and without a password; passwords go to schemaRegistry.existingSecret." (regexReplaceAll "//[^/@]*@" . "//[hidden]@")) -}}
{{- end -}}
{{- end -}}
{{- if not $v.serviceAccount.roleArn -}}
{{- fail "serviceAccount.roleArn is not set: give the ARN of the IAM role that may start the state machines." -}}
{{- end -}}
{{- if not (regexMatch "^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$" $v.serviceAccount.roleArn) -}}
{{- fail (printf "serviceAccount.roleArn: %q is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/stepconnect." $v.serviceAccount.roleArn) -}}
{{- end -}}
{{- if and (has $v.kafka.auth (list "scram" "tls")) (not $v.kafka.existingSecret) -}}
{{- fail (printf "kafka.auth is %s, so kafka.existingSecret must name the Secret with %s." $v.kafka.auth (ternary "the keys username and password" "the keys tls.crt and tls.key" (eq $v.kafka.auth "scram"))) -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.host) -}}
{{- fail "ingress.enabled is true, so ingress.host must name the host." -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.tlsSecret) (not (hasKey $v.ingress.annotations "alb.ingress.kubernetes.io/certificate-arn")) -}}
{{- fail "ingress.enabled is true without TLS: passwords would travel in the clear. Set ingress.tlsSecret, or the annotation alb.ingress.kubernetes.io/certificate-arn." -}}
{{- end -}}
{{- if and $v.keda.enabled $v.hpa.enabled -}}
{{- fail "keda.enabled and hpa.enabled are both true: two autoscalers would fight over the replicas. Choose one." -}}
{{- end -}}
{{- if and $v.keda.enabled (not $v.keda.lag) -}}
{{- fail "keda.enabled is true, so keda.lag must name at least one consumerGroup and topic to watch." -}}
{{- end -}}
{{- if and $v.keda.enabled (eq $v.kafka.auth "iam") (not $v.aws.region) -}}
{{- fail "keda.enabled is true with kafka.auth iam, so aws.region must be set: KEDA signs its own requests." -}}
{{- end -}}
{{- if and $v.kafka.rack.aliases (not $v.kafka.rack.label) -}}
{{- fail "kafka.rack.aliases says what the brokers call a zone, but kafka.rack.label is empty, so that no worker knows its zone: name the pod's label." -}}
{{- end -}}
{{- range $name := list "keda" "hpa" -}}
{{- $s := get $v $name -}}
{{- if and $s.enabled (gt (int $s.minReplicas) (int $s.maxReplicas)) -}}
{{- fail (printf "%s.minReplicas is %d, more than %s.maxReplicas, which is %d." $name (int $s.minReplicas) $name (int $s.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* worker.properties as a map: what the chart sets, then what the user sets. */ -}}
{{- define "stepconnect.properties" -}}
{{- $v := .Values -}}
{{- $cluster := include "stepconnect.cluster" . -}}
{{- $rf := $v.cluster.replicationFactor | toString -}}
{{- $p := dict
  "bootstrap.servers" $v.kafka.bootstrapServers
  "group.id" $cluster
  "config.storage.topic" (printf "%s-config" $cluster)
  "offset.storage.topic" (printf "%s-offsets" $cluster)
  "status.storage.topic" (printf "%s-status" $cluster)
  "config.storage.replication.factor" $rf
  "offset.storage.replication.factor" $rf
  "status.storage.replication.factor" $rf
  "listeners" "http://0.0.0.0:8083"
  "rest.advertised.host.name" (printf "${env:POD_NAME}.%s.%s.svc" (include "stepconnect.headless" .) .Release.Namespace)
  "rest.advertised.port" "8083"
  "rest.auth.basic.users.file" "/etc/stepconnect/auth/users"
  "rest.open.paths" (join "," $v.auth.openPaths)
  "connector.files.dir" "/etc/stepconnect/connectors"
  "connector.files.prune" ($v.connectors.prune | toString)
  "task.shutdown.graceful.timeout.ms" (mul (int $v.worker.shutdownSeconds) 1000 | toString)
  "key.converter" "io.confluent.connect.avro.AvroConverter"
  "value.converter" "io.confluent.connect.avro.AvroConverter"
  "config.providers" "env,dir,file"
  "config.providers.env.class" "org.apache.kafka.common.config.provider.EnvVarConfigProvider"
  "config.providers.env.param.allowlist.pattern" "POD_NAME|POD_ZONE"
  "config.providers.dir.class" "org.apache.kafka.common.config.provider.DirectoryConfigProvider"
  "config.providers.dir.param.allowed.paths" "/etc/stepconnect/secrets,/etc/stepconnect/kafka,/etc/stepconnect/registry"
  "config.providers.file.class" "org.apache.kafka.common.config.provider.FileConfigProvider"
  "config.providers.file.param.allowed.paths" "/etc/stepconnect/secrets"
-}}
{{- if eq $v.kafka.auth "iam" -}}
{{- $p = merge $p (dict "security.protocol" "SASL_SSL" "sasl.mechanism" "AWS_MSK_IAM" "sasl.jaas.config" "software.amazon.msk.auth.iam.IAMLoginModule required;") -}}
{{- else if eq $v.kafka.auth "scram" -}}
{{- $p = merge $p (dict "security.protocol" "SASL_SSL" "sasl.mechanism" "SCRAM-SHA-512" "sasl.jaas.config" "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"${dir:/etc/stepconnect/kafka:username}\" password=\"${dir:/etc/stepconnect/kafka:password}\";") -}}
{{- else if eq $v.kafka.auth "tls" -}}
{{- $p = merge $p (dict "security.protocol" "SSL" "ssl.keystore.type" "PEM" "ssl.keystore.key" "${dir:/etc/stepconnect/kafka:tls.key}" "ssl.keystore.certificate.chain" "${dir:/etc/stepconnect/kafka:tls.crt}") -}}
{{- end -}}
{{- if $v.kafka.rack.label -}}
{{- $_ := set $p "client.rack" "${env:POD_ZONE}" -}}
{{- $aliases := list -}}
{{- range $zone, $rack := $v.kafka.rack.aliases -}}
{{- $aliases = append $aliases (printf "%s:%s" $zone $rack) -}}
{{- end -}}
{{- if $aliases -}}
{{- $_ := set $p "client.rack.aliases" (join "," $aliases) -}}
{{- end -}}
{{- end -}}
{{- if $v.emf.enabled -}}
{{- $p = merge $p (dict "metrics.emf.enable" "true" "metrics.emf.namespace" $v.emf.namespace "metrics.emf.destination" $v.emf.destination) -}}
{{- end -}}
{{- if $v.kafka.caSecret -}}
{{- $p = merge $p (dict "ssl.truststore.type" "PEM" "ssl.truststore.location" "/etc/stepconnect/kafka-ca/ca.crt") -}}
{{- end -}}
{{- range list "key.converter." "value.converter." -}}
{{- $_ := set $p (printf "%sschema.registry.url" .) $v.schemaRegistry.url -}}
{{- if $v.schemaRegistry.existingSecret -}}
{{- $_ := set $p (printf "%sbasic.auth.credentials.source" .) "USER_INFO" -}}
{{- $_ := set $p (printf "%sbasic.auth.user.info" .) "${dir:/etc/stepconnect/registry:username}:${dir:/etc/stepconnect/registry:password}" -}}
{{- end -}}
{{- if $v.schemaRegistry.caSecret -}}
{{- $_ := set $p (printf "%sschema.registry.ssl.truststore.type" .) "PEM" -}}
{{- $_ := set $p (printf "%sschema.registry.ssl.truststore.location" .) "/etc/stepconnect/registry-ca/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- range $k, $value := $v.worker.properties -}}
{{- $_ := set $p $k ($value | toString) -}}
{{- end -}}
{{- range $k, $value := $p }}
{{ $k }}={{ $value | toString | replace "\\" "\\\\" | replace "\n" "\\n" }}
{{- end }}
{{- end -}}
