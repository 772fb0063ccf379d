#!/usr/bin/env bash
# Runs go's tests with the real servers beside them, prints the ten slowest and then the
# runner's closing line, and exits with the tests' status. Called by make test and make test-long:
#   TEST_TIMEOUT=11m test/tools/run-tests.sh [GO TEST ARGUMENT...] PACKAGE...
set -uo pipefail
cd "$(dirname "$0")/../.."
tools=.cache/bin
events=.cache/test-events.json
output=.cache/test-output.txt

# -count=1: what was seen on yesterday's servers proves nothing about today's.
"$tools/stack" run -- "$tools/gotestsum" --format pkgname --format-icons text --hide-summary skipped --jsonfile "$events" -- \
  -p 2 -count=1 -timeout "$TEST_TIMEOUT" "$@" | tee "$output"
status=${PIPESTATUS[0]}

if [ -s "$events" ]; then
  printf '\nThe ten slowest tests:\n'
  "$tools/gotestsum" tool slowest --num 10 --jsonfile "$events"
  echo
fi
# The last line is the runner's own, which the slowest tests stand before.
grep '^DONE ' "$output" | tail -n 1
exit "$status"
