# Caddy with the qwen handler: `docker build -t caddy-qwen .`, or see compose.yaml.

FROM --platform=$BUILDPLATFORM golang:1.26-alpine AS build
WORKDIR /src
COPY . .
ARG TARGETOS TARGETARCH
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -ldflags "-s -w" -tags nobadger,nomysql,nopgx -o image/caddy ./cmd/caddy
# The last stage runs nothing, so that images for other processors need no emulation.
RUN mkdir image/owned && mkdir -m 700 image/owned/data image/owned/config

# Alpine has the wget of the health check.
FROM alpine:3
LABEL org.opencontainers.image.title="caddy-qwen" \
      org.opencontainers.image.description="Your own account on chat.qwen.ai as an OpenAI-compatible API" \
      org.opencontainers.image.source="https://github.com/caddy-qwen/caddy-qwen" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/image/caddy /usr/bin/caddy
COPY --from=build /src/deploy/Caddyfile /etc/caddy/Caddyfile
COPY --from=build --chown=65532:65532 /src/image/owned/ /
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
USER 65532:65532
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["wget", "-q", "-Y", "off", "--spider", "http://127.0.0.1:8080/health"]
ENTRYPOINT ["/usr/bin/caddy"]
CMD ["run", "--config", "/etc/caddy/Caddyfile"]
