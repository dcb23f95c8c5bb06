# syntax=docker/dockerfile:1
# One image for the operator and the sidecar: docker build -t cellar .   (docs/images.md)

FROM docker.io/library/node:24.21.0-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
# Optional packages hold the native codecs of this platform. What only tests need stays in this stage.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY LICENSE main.ts tsconfig.json ./
COPY api api
COPY build build
COPY cli cli
COPY injector injector
COPY sidecar sidecar
COPY webhook webhook
RUN node build/main.ts /out

# glibc, libstdc++, CA certificates, and nothing that could be called a shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /out /
# Read by glibc, libuv and V8 before the first line of ours runs (docs/images.md).
ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=67108864 UV_THREADPOOL_SIZE=8 \
    NODE_OPTIONS=--max-semi-space-size=4
# The user of the Go plugin's sidecar; any other one works.
USER 26:26
ENTRYPOINT ["/manager"]
