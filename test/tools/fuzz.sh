#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the given time each. Ends with
# the number of targets, and with status 1 when one of them found something.
#   test/tools/fuzz.sh 10s
set -uo pipefail
cd "$(dirname "$0")/../.."
ran=0
failed=()
for dir in $(git ls-files --cached --others --exclude-standard -- '*_test.go' | xargs -r grep -lE '^func Fuzz' | xargs -r dirname | sort -u); do
  if ! targets=$(go test -list '^Fuzz' "./$dir"); then
    echo "$targets"
    failed+=("./$dir (does not compile)")
    continue
  fi
  for target in $(grep '^Fuzz' <<<"$targets"); do
    echo "== ./$dir $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -parallel 2 "./$dir" || failed+=("./$dir $target")
    ran=$((ran + 1))
  done
done
echo "fuzz: $ran targets, $1 each, ${#failed[@]} with findings"
if [ "${#failed[@]}" -gt 0 ]; then
  printf '  %s\n' "${failed[@]}"
  exit 1
fi
