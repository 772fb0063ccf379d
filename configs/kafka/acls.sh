#!/usr/bin/env bash
# The same rights as msk-policy.json as Kafka ACLs, for clusters that authenticate by SCRAM or TLS. Adding an
# ACL again changes nothing.
#   BOOTSTRAP=… COMMAND_CONFIG=admin.properties SINK=User:stepconnect SOURCE=User:debezium ./acls.sh
set -euo pipefail
: "${BOOTSTRAP:?the bootstrap servers}" "${SINK:?the principal of stepconnect}" "${SOURCE:?the principal of Debezium}"
config=(); [[ -z ${COMMAND_CONFIG:-} ]] || config=(--command-config "$COMMAND_CONFIG")
allow() { kafka-acls.sh --bootstrap-server "$BOOTSTRAP" "${config[@]}" --add "$@"; }

changes=(--topic clientes-alteracoes --topic pedidos-alteracoes --topic produtos-alteracoes)
allow --allow-principal "$SINK" --operation Read --operation Describe --operation DescribeConfigs "${changes[@]}"
allow --allow-principal "$SINK" --operation Read --operation Write --operation Describe --topic consorcio-dlq
allow --allow-principal "$SINK" --operation Read --operation Describe --operation Delete --group connect-consorcio
allow --allow-principal "$SINK" --operation Create --operation Read --operation Write --operation Describe --operation DescribeConfigs --resource-pattern-type prefixed --topic stepconnect
allow --allow-principal "$SINK" --operation Read --operation Describe --resource-pattern-type prefixed --group stepconnect
allow --allow-principal "$SINK" --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id stepconnect

allow --allow-principal "$SOURCE" --operation Write --operation Describe "${changes[@]}" --topic consorcio.transaction --topic __debezium-heartbeat.consorcio --topic consorcio-notificacoes --topic consorcio --topic consorcio.ConsorcioDB.dbo.debezium_signal
allow --allow-principal "$SOURCE" --operation Read --operation Write --operation Describe --operation DescribeConfigs --topic consorcio-historico-esquemas
allow --allow-principal "$SOURCE" --operation Read --operation Describe --topic consorcio-sinais
allow --allow-principal "$SOURCE" --operation Read --operation Describe --resource-pattern-type prefixed --group consorcio
