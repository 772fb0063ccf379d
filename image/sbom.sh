#!/usr/bin/env bash
# Writes what the binary is made of as CycloneDX JSON: the modules that are linked into it, and the library that is no module.
# usage: image/sbom.sh CYCLONEDX-GOMOD BINARY VERSION OUTPUT
set -euo pipefail
cyclonedx=$1 binary=$2 version=$3 output=$4
"$cyclonedx" bin -json -std -version "$version" -output "$output" "$binary" 2>/dev/null
# librdkafka comes inside confluent-kafka-go, whose versions follow it.
kafka=$(go version -m "$binary" | awk '$2 == "github.com/confluentinc/confluent-kafka-go/v2" { print substr($3, 2) }')
python3 - "$output" "$kafka" <<'PY'
import json, sys
path, kafka = sys.argv[1:]
if not kafka:
    sys.exit("image: the binary does not say which confluent-kafka-go it has")
bom = json.load(open(path))
names = {c["name"] for c in bom["components"]}
missing = {"github.com/confluentinc/confluent-kafka-go/v2", "github.com/aws/aws-sdk-go-v2", "std"} - names
if missing:
    sys.exit(f"image: the SBOM lacks {', '.join(sorted(missing))}")
bom["components"].append({
    "type": "library", "name": "librdkafka", "version": kafka, "purl": f"pkg:github/confluentinc/librdkafka@v{kafka}",
    "description": "Static library of confluent-kafka-go, with OpenSSL, libcurl, zlib, zstd and lz4 inside",
})
json.dump(bom, open(path, "w"), indent=2)
print(f"image: SBOM of {len(bom['components'])} components, CycloneDX {bom['specVersion']}")
PY
