#!/usr/bin/env bash
# Runs 04-health.sql and sends what it says to CloudWatch: Consorcio/CdcProblems (how many lines are bad) and
# Consorcio/CdcLatencySeconds. Where SQL Server cannot be asked nothing is sent, and the alarm on CdcProblems takes silence for trouble.
#   SQLCMDSERVER=sql01 SQLCMDDBNAME=ConsorcioDB ./publish-health.sh     (sqlcmd reads these, and SQLCMDUSER and SQLCMDPASSWORD)
set -euo pipefail
cd "$(dirname "$0")"
: "${SQLCMDSERVER:?the host of SQL Server}" "${SQLCMDDBNAME:?the database}"
report=$(sqlcmd -b -h -1 -W -s '|' -v MaxDowntimeMinutes="${MAX_DOWNTIME_MINUTES:-4320}" -i 04-health.sql)

# Columns: what, value, bad, remedy. A report of another form is no good news.
lines=$(awk -F'|' 'NF == 4 && ($3 == 0 || $3 == 1)' <<<"$report")
if [ -z "$lines" ] || [ "$(grep -c '|' <<<"$report")" -ne "$(grep -c '' <<<"$lines")" ]; then
  echo "publish-health: 04-health.sql answered what this script cannot read:" >&2
  printf '%s\n' "$report" >&2
  exit 1
fi
problems=$(awk -F'|' '{ n += $3 } END { print n + 0 }' <<<"$lines")
latency=$(awk -F'|' '$1 == "capture job latency in s" && $2 ~ /^[0-9]+$/ { print $2 }' <<<"$lines")

data="MetricName=CdcProblems,Value=$problems,Unit=Count"
[ -z "$latency" ] || data="$data MetricName=CdcLatencySeconds,Value=$latency,Unit=Seconds"
# shellcheck disable=SC2086 # two arguments
aws cloudwatch put-metric-data --namespace Consorcio --metric-data $data
awk -F'|' '$3 == 1 { print $1 ": " $2 ": " $4 }' <<<"$lines"
