#!/usr/bin/env bash
# Lints, renders and validates the chart; make chart calls it. UPDATE=1 writes the golden renders anew.
# usage: test/chart/chart.sh HELM KUBECONFORM CACHE
set -euo pipefail
helm=$1 kubeconform=$2 cache=$3
here=$(cd "$(dirname "$0")" && pwd)
chart=$here/../../charts/stepconnect
versions=(1.30.0 1.37.0) # the oldest that Chart.yaml allows, and the newest
package=kubernetes-validate==1.37.0

fail() { echo "chart: $*" >&2; exit 1; }

schemas=$cache/kubernetes-schemas
if [ ! -e "$schemas/done" ]; then
  rm -rf "$schemas" && mkdir -p "$schemas"
  python3 -m venv "$schemas/venv"
  "$schemas/venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$schemas" "$package"
  python3 "$here/schemas.py" "$schemas"/kubernetes_validate-*.whl "$schemas" "${versions[@]}"
  rm -rf "$schemas/venv" "$schemas"/*.whl
  touch "$schemas/done"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
render() { "$helm" template stepconnect "$chart" --namespace streaming --kube-version "${versions[-1]}" "$@"; }
# Generated passwords, and the salts of their hashes, are other ones each time.
settled() { sed -E 's/^(  (password|metrics-password|users): ).+$/\1(generated)/'; }

sets=0 objects=0
for values in "$chart"/ci/*-values.yaml; do
  name=$(basename "$values" -values.yaml)
  "$helm" lint --strict --quiet --kube-version "${versions[-1]}" "$chart" -f "$values" >"$work/lint" 2>&1 || { cat "$work/lint" >&2; fail "helm lint: $name"; }
  render -f "$values" >"$work/$name.yaml" || fail "helm template: $name"
  settled <"$work/$name.yaml" >"$work/$name.settled"
  if [ -n "${UPDATE:-}" ]; then cp "$work/$name.settled" "$here/golden/$name.yaml"; fi
  diff -u "$here/golden/$name.yaml" "$work/$name.settled" || fail "$name renders otherwise than test/chart/golden/$name.yaml; if that is meant: UPDATE=1 make chart"
  sets=$((sets + 1))
  objects=$((objects + $(grep -c '^kind: ' "$work/$name.yaml")))
done

# What the worker reads of the generated Secret: lines of user, bcrypt hash and role (api.Auth.ReadUsers).
users=$(sed -nE 's/^  users: (.+)$/\1/p' "$work/required.yaml" | base64 -d)
for line in 'admin:\$2[ab]\$[./A-Za-z0-9$]{56}:admin' 'metrics:\$2[ab]\$[./A-Za-z0-9$]{56}:read-only'; do
  grep -qE "^$line\$" <<<"$users" || fail "the generated users file has no line like $line"
done

custom=$(cat "$work"/*.yaml | grep -cE '^apiVersion: (monitoring.coreos.com|keda.sh)/' || true)
for version in "${versions[@]}"; do
  # The operators' own kinds have no schema in the Kubernetes API.
  "$kubeconform" -strict -summary -skip ServiceMonitor,PrometheusRule,ScaledObject \
    -schema-location "$schemas/v$version/{{ .ResourceKind }}{{ .KindSuffix }}.json" "$work"/*.yaml >"$work/conform" 2>&1 ||
    { cat "$work/conform" >&2; fail "objects that Kubernetes $version would refuse"; }
  echo "chart: Kubernetes $version: $(tail -n 1 "$work/conform")"
done
# An unknown field must be refused, or the schemas above would have shown nothing.
sed -E 's/^  serviceName:/  serviceNames:/' "$work/required.yaml" >"$work/wrong"
if "$kubeconform" -strict -skip ServiceMonitor -schema-location "$schemas/v${versions[-1]}/{{ .ResourceKind }}{{ .KindSuffix }}.json" - <"$work/wrong" >/dev/null 2>&1; then
  fail "the schemas let an unknown field of the StatefulSet through"
fi

refused=0
for values in "$here"/refused/*.yaml; do
  want=$(sed -n '1s/^# refused: //p' "$values")
  if render -f "$values" >/dev/null 2>"$work/error"; then fail "$(basename "$values") was not refused"; fi
  grep -qF -- "$want" "$work/error" || { cat "$work/error" >&2; fail "$(basename "$values") was refused, but not with: $want"; }
  if grep -q geheim "$work/error"; then fail "$(basename "$values"): the refusal shows a password"; fi
  refused=$((refused + 1))
done

echo "chart: all passed: $sets option sets linted and rendered as golden, $objects objects valid for Kubernetes ${versions[*]} ($custom of them custom resources without a schema), $refused mistakes refused"
