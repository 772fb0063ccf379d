#!/usr/bin/env bash
# Creates the topics of topics.csv and sets their configuration; topics that exist keep their partitions.
#   BOOTSTRAP=b-1…:9098 COMMAND_CONFIG=client.properties ./create-topics.sh
set -euo pipefail
cd "$(dirname "$0")"
: "${BOOTSTRAP:?the bootstrap servers}"
config=(); [[ -z ${COMMAND_CONFIG:-} ]] || config=(--command-config "$COMMAND_CONFIG")
replicas=${REPLICAS:-3}

tail -n +2 topics.csv | while IFS=, read -r name partitions policy retention isr bytes _; do
  kafka-topics.sh --bootstrap-server "$BOOTSTRAP" "${config[@]}" --create --if-not-exists \
    --topic "$name" --partitions "$partitions" --replication-factor "$replicas" </dev/null
  kafka-configs.sh --bootstrap-server "$BOOTSTRAP" "${config[@]}" --alter --entity-type topics --entity-name "$name" \
    --add-config "cleanup.policy=$policy,retention.ms=$retention,min.insync.replicas=$isr,max.message.bytes=$bytes" </dev/null
done
