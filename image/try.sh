#!/usr/bin/env bash
# Puts the image's root file system together as the last stage of the Dockerfile does, without a container engine, and
# runs the demo in it as the chart runs a worker: an unprivileged user without capabilities, nothing writable but a
# tmpfs on /tmp, nothing to run but the binary.
# usage: image/try.sh BINARY
set -euo pipefail
binary=$1
limit=$((30 * 1000 * 1000)) # bytes of the image as it is pulled: compressed
here=$(cd "$(dirname "$0")" && pwd)

fail() { echo "image: $*" >&2; exit 1; }

if [ "${2:-}" = inside ]; then # in a mount namespace of our own
  root=$3
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount -t tmpfs -o size=64m,mode=1777,nosuid,nodev tmpfs "$root/tmp"
  mount -o remount,bind,ro "$root"
  if touch "$root/x" 2>/dev/null; then fail "the root file system can be written"; fi
  chroot=$(command -v chroot)
  if [ "$4" = 0 ]; then
    exec setpriv --no-new-privs env -i "$chroot" --userspec=65532:65532 --groups=65532 "$root" "${@:5}"
  fi
  exec setpriv --no-new-privs env -i "$chroot" "$root" "${@:5}"
fi

# A program header INTERP names a loader, and NEEDED a library: a static binary has neither.
headers=$(readelf -l -d "$binary")
if grep -qE 'INTERP|\(NEEDED\)' <<<"$headers"; then fail "$binary is not static: $(grep -E 'INTERP|NEEDED' <<<"$headers")"; fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root/etc/ssl/certs" "$root/usr/share" "$root/tmp"
install -m 755 "$binary" "$root/stepconnect"
install -m 644 "$here/passwd" "$root/etc/passwd"
install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
install -m 644 "$(go env GOROOT)/lib/time/zoneinfo.zip" "$root/usr/share/zoneinfo.zip"
unpacked=$(find "$root" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')
pulled=$(tar -C "$root" -c . | gzip -6 | wc -c)
[ "$pulled" -lt "$limit" ] || fail "the image has $pulled bytes compressed; the limit is $limit"

namespace=(unshare --mount)
[ "$(id -u)" = 0 ] || namespace=(unshare --user --map-root-user --mount)
run() { "${namespace[@]}" bash "$here/try.sh" "$binary" inside "$root" "$(id -u)" "$@"; }

run /stepconnect --version
before=$(date +%s%N)
run /stepconnect demo --exit --listen http://127.0.0.1:0 >"$root.log" 2>&1 || { cat "$root.log" >&2; rm -f "$root.log"; fail "the demo failed inside the image's root file system"; }
seconds=$(awk -v ns=$(($(date +%s%N) - before)) 'BEGIN { printf "%.1f", ns / 1e9 }')
tail -n 3 "$root.log"
rm -f "$root.log"
echo "image: static; $(find "$root" -type f | wc -l) files, $unpacked bytes, $pulled compressed (limit $limit); demo passed in $seconds s as an unprivileged user on a read-only root"
