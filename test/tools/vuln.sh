#!/usr/bin/env bash
# Looks for known vulnerabilities in what is called, by the reports of the Go vulnerability database at the version of
# its module golang.org/x/vulndb: pinned like any dependency, and had where vuln.go.dev cannot be reached.
# The standard library is looked at as of the toolchain of go.mod, which releases are built with, not as of the
# Go that happens to be installed. VULNDB names another database, as https://vuln.go.dev for today's.
#   test/tools/vuln.sh GOVULNCHECK INDEXDB VULNDB_VERSION
set -euo pipefail
cd "$(dirname "$0")/../.."
db=${VULNDB:-}
if [ -z "$db" ]; then
  dir=$PWD/.cache/vulndb-$3
  if [ ! -e "$dir/index/db.json" ]; then
    module=$(cd / && GOFLAGS=-mod=mod go mod download -json "golang.org/x/vulndb@$3" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
    rm -rf "$dir"
    "$2" -vulns "$module/data/osv" -out "$dir.part"
    mv "$dir.part" "$dir"
  fi
  db=file://$dir
  echo "vuln: by golang.org/x/vulndb $3"
fi
export GOTOOLCHAIN=auto
exec "$1" -db "$db" ./...
