#!/usr/bin/env bash
# Builds the static binary of the image: librdkafka's musl build, linked with everything else. The Dockerfile and
# make image call it, so that what is tried is what is shipped.
# usage: image/build.sh OUTPUT VERSION COMMIT
set -euo pipefail
output=$1 version=$2 commit=$3
if ! command -v musl-gcc >/dev/null 2>&1; then
  echo "image: musl-gcc is missing; install it with: sudo apt-get install -y musl-tools" >&2
  exit 1
fi
cd "$(dirname "$0")/.."
CGO_ENABLED=1 CC=musl-gcc exec go build -tags musl -trimpath -buildvcs=false \
  -ldflags "-s -w -linkmode external -extldflags \"-static\" -X main.version=$version -X main.commit=$commit" \
  -o "$output" ./cmd/stepconnect
