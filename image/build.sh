#!/usr/bin/env bash
# Builds the static binary of the image: librdkafka's musl build, linked with everything else. The Dockerfile and
# make image call it, so that what is tried is what is shipped.
# usage: image/build.sh OUTPUT VERSION COMMIT [ARCH]
# Another ARCH than this machine's needs MUSL_CC, a C compiler for musl there (make image-arm64 brings one).
set -euo pipefail
output=$1 version=$2 commit=$3 arch=${4:-$(go env GOHOSTARCH)}
cc=${MUSL_CC:-musl-gcc}
if [ "$arch" != "$(go env GOHOSTARCH)" ] && [ -z "${MUSL_CC:-}" ]; then
  echo "image: MUSL_CC is not set; to build for $arch on $(go env GOHOSTARCH) it names a C compiler for musl on $arch" >&2
  exit 1
fi
if ! command -v "${cc%% *}" >/dev/null 2>&1; then
  echo "image: ${cc%% *} is missing; install it with: sudo apt-get install -y musl-tools" >&2
  exit 1
fi
cd "$(dirname "$0")/.."
CGO_ENABLED=1 GOARCH=$arch CC=$cc exec go build -tags musl -trimpath -buildvcs=false \
  -ldflags "-s -w -linkmode external -extldflags \"-static\" -X main.version=$version -X main.commit=$commit" \
  -o "$output" ./cmd/stepconnect
