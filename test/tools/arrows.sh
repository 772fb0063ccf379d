#!/usr/bin/env bash
# Shows that the linter reports each import that docs/DESIGN.md §3 forbids, and none that it
# allows: writes a module of single imports and compares what depguard says with the table.
#   test/tools/arrows.sh GOLANGCI_LINT
set -euo pipefail
lint=$(realpath "$1")
top=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$top/go.mod" "$top/go.sum" "$top/.golangci.yml" "$scratch/"
cd "$scratch"
module=$(go list -m)

# importing package | imported package (module's own with a leading dot) | deny or allow
table='
connector/x                ./runtime                                                  deny
connector/x                ./api                                                      deny
connector/stepfunctions    ./internal/aws                                             allow
connector/config           gopkg.in/yaml.v3                                           deny
connector/config           github.com/magiconair/properties                           deny
runtime/store              github.com/twmb/franz-go/pkg/kgo                           deny
runtime/store              golang.org/x/sync/errgroup                                 deny
runtime/task               ./runtime                                                  deny
runtime/task               ./runtime/kafka                                            deny
runtime/task               ./runtime/store                                            deny
runtime/task               ./api                                                      deny
runtime/task               ./connector/x                                              allow
runtime/task               github.com/twmb/franz-go/pkg/kgo                           deny
runtime/task               github.com/confluentinc/confluent-kafka-go/v2/kafka        deny
runtime/store              github.com/confluentinc/confluent-kafka-go/v2/kafka        deny
runtime/x                  ./api                                                      deny
runtime/x                  ./connector/stepfunctions                                  deny
runtime/x                  ./connector/avro                                           deny
runtime/x                  ./connector/file                                           deny
runtime/x                  ./connector/transform                                      deny
runtime/x                  ./internal/embedded                                        deny
api                        ./internal/embedded                                        deny
connector/x                ./internal/embedded                                        deny
cmd/stepconnect            ./internal/embedded                                        allow
cmd/stepconnect            ./connector/stepfunctions                                  allow
runtime/x                  ./test/stack                                               deny
test/chaos                 ./test/stack                                               allow
runtime/kafka              github.com/confluentinc/confluent-kafka-go/v2/kafka        allow
cmd/stepconnect            github.com/confluentinc/confluent-kafka-go/v2/kafka        deny
test/chaos                 github.com/confluentinc/confluent-kafka-go/v2/kafka        deny
connector/avro             github.com/riferrei/srclient                               allow
runtime/x                  github.com/riferrei/srclient                               deny
test/chaos                 github.com/riferrei/srclient                               deny
connector/avro             github.com/twmb/avro                                       allow
internal/embedded          github.com/twmb/avro                                       allow
connector/debezium         github.com/twmb/avro                                       deny
connector/avro             github.com/linkedin/goavro/v2                              deny
test/bench                 github.com/linkedin/goavro/v2                              allow
internal/embedded          github.com/twmb/franz-go/pkg/kfake                         allow
test/chaos                 github.com/twmb/franz-go/pkg/kgo                           allow
runtime/kafka              github.com/twmb/franz-go/pkg/kadm                          allow
runtime/kafka              github.com/twmb/franz-go/pkg/kfake                         deny
connector/x                github.com/twmb/franz-go/pkg/kgo                           deny
api                        github.com/twmb/franz-go/pkg/kgo                           deny
internal/aws               github.com/aws/aws-sdk-go-v2/config                        allow
connector/stepfunctions    github.com/aws/aws-sdk-go-v2/service/sfn                   allow
internal/aws               github.com/aws/aws-sdk-go-v2/service/sfn                   deny
runtime/x                  github.com/aws/aws-sdk-go-v2/config                        deny
api                        github.com/aws/aws-sdk-go-v2/service/sfn                   deny
runtime/secret             github.com/aws/aws-sdk-go-v2/service/secretsmanager        allow
runtime/secret             github.com/aws/aws-sdk-go-v2/service/ssm                   allow
connector/stepfunctions    github.com/aws/aws-sdk-go-v2/service/secretsmanager        deny
runtime/x                  ./runtime/secret                                           deny
cmd/stepconnect            ./runtime/secret                                           allow
connector/glue             github.com/aws/aws-sdk-go-v2/service/glue                  allow
connector/stepfunctions    github.com/aws/aws-sdk-go-v2/service/glue                  deny
runtime/kafka              github.com/aws/aws-msk-iam-sasl-signer-go/signer           allow
connector/stepfunctions    github.com/aws/aws-msk-iam-sasl-signer-go/signer           deny
api                        github.com/go-chi/chi/v5                                   allow
runtime/x                  github.com/go-chi/chi/v5                                   deny
cmd/stepconnect            github.com/go-chi/chi/v5                                   deny
cmd/stepconnect            github.com/spf13/cobra                                     allow
runtime/x                  github.com/spf13/cobra                                     deny
connector/x                github.com/jackc/pgx/v5                                    deny
test/chaos                 github.com/jackc/pgx/v5                                    allow
runtime/x                  github.com/google/go-cmp/cmp                               deny
runtime/x                  go.uber.org/goleak                                         deny
runtime/x                  pgregory.net/rapid                                         deny
runtime/x                  io/ioutil                                                  deny
runtime/x                  log                                                        deny
runtime/x                  log/slog                                                   allow
runtime/x                  math/rand                                                  deny
runtime/x                  math/rand/v2                                               allow
'

# Each line becomes a file with one import; packages of this module that are imported exist. Import cycles
# do not matter to this linter.
n=0
while read -r package imported verdict; do
  [ -n "$package" ] || continue
  n=$((n + 1))
  case $imported in ./*) mkdir -p "$imported"; name=$(basename "$imported")
    [ -e "$imported/doc.go" ] || printf 'package %s\n' "$name" > "$imported/doc.go"
    imported=$module/${imported#./} ;;
  esac
  mkdir -p "$package"
  printf 'package %s\n\nimport _ "%s"\n' "$(basename "$package")" "$imported" > "$package/import_$n.go"
  printf '%s/import_%s.go %s %s %s\n' "$package" "$n" "$package" "$imported" "$verdict" >> table.txt
done <<<"$table"

"$lint" run --enable-only depguard --max-issues-per-linter 0 --max-same-issues 0 --output.text.path report.txt --output.text.print-issued-lines=false ./... >lint.txt 2>&1 || true
[ -e report.txt ] || { cat lint.txt >&2; exit 1; }
wrong=0
while read -r file package imported verdict; do
  reported=allow
  grep -q "^$file:.*import '$imported' is not allowed" report.txt && reported=deny
  if [ "$reported" != "$verdict" ]; then
    echo "arrows: $package importing $imported: the linter says $reported, want $verdict" >&2
    wrong=$((wrong + 1))
  fi
done < table.txt
if [ "$wrong" -gt 0 ]; then
  cat lint.txt >&2
  exit 1
fi
echo "arrows: $(grep -c ' deny$' table.txt) forbidden imports reported, $(grep -c ' allow$' table.txt) allowed ones not"
