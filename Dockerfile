# syntax=docker/dockerfile:1
# The worker as one static file on an empty base: no shell, no package manager, no libc.
#   docker buildx build --build-arg VERSION=0.1.0 --build-arg COMMIT=$(git rev-parse HEAD) --sbom=true -t stepconnect:0.1.0 .
# The architecture is that of the machine that builds: Debian has no musl cross compiler, so arm64 is built on arm64.
FROM golang:1.26.10-bookworm AS build
# Debian removes old versions from its mirrors: a pinned one fails on the day of the next security update.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates musl-tools \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=0.1.0
ARG COMMIT=unknown
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    image/build.sh /out/stepconnect "$VERSION" "$COMMIT" \
 && mkdir -m 1777 /out/tmp \
 && cp "$(go env GOROOT)/lib/time/zoneinfo.zip" /out/zoneinfo.zip

FROM scratch
ARG VERSION=0.1.0
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="stepconnect" \
      org.opencontainers.image.description="A Kafka Connect-style sink connector host that delivers change events to AWS Step Functions" \
      org.opencontainers.image.source="https://github.com/stepconnect/stepconnect" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/zoneinfo.zip /usr/share/zoneinfo.zip
COPY image/passwd /etc/passwd
COPY --from=build /out/tmp /tmp
COPY --from=build /out/stepconnect /stepconnect
ENV ZONEINFO=/usr/share/zoneinfo.zip
# A number, so that Kubernetes can tell without /etc/passwd that it is not root.
USER 65532:65532
EXPOSE 8083
ENTRYPOINT ["/stepconnect"]
