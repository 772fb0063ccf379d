#!/usr/bin/env bash
# Shows that an arm64 binary is static, and runs its demo where another machine's programs can be run.
# usage: image/try-arm64.sh BINARY
set -euo pipefail
binary=$1
headers=$(readelf -h -l -d "$binary")
grep -q 'Machine:.*AArch64' <<<"$headers" || { echo "image: $binary is not for arm64" >&2; exit 1; }
if grep -qE 'INTERP|\(NEEDED\)' <<<"$headers"; then echo "image: $binary is not static" >&2; exit 1; fi
size=$(gzip -6 <"$binary" | wc -c)
if ! command -v qemu-aarch64-static >/dev/null 2>&1; then
  echo "image: arm64 is static, $size bytes compressed; not run: qemu-aarch64-static is missing (sudo apt-get install -y qemu-user-static)"
  exit 0
fi
qemu-aarch64-static "$binary" demo --exit --listen http://127.0.0.1:0 | tail -n 1
echo "image: arm64 is static, $size bytes compressed; the demo passed under qemu"
