# docker build --build-arg VERSION=0.1.0 -t salesforce-backup-operator:0.1.0 .
#
# tests/image/oci-archive.sh makes the same image without a container engine. It reads the labels, the user, the folder and the
# entry point from the last stage, one instruction or label a line.
# There is no "# syntax" line: every BuildKit knows cache mounts, and a frontend that is fetched would be one more thing to trust.

FROM docker.io/library/rust:1.95-slim-trixie@sha256:e14e87345b4d5964ddcc3491d27ee046a0f23820f340c3c1e24da6880141f7c0 AS build
# It puts the list of crates into the binary: without it, a scanner and the SBOM find no crate in what is static and stripped.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    cargo install --locked --version 0.7.5 cargo-auditable
WORKDIR /src
COPY . .
ARG TARGETARCH
# The image has a C compiler and the static glibc; aws-lc needs no more (its bindings are in the crate, and it runs no cmake).
# Static, so that the image has no library to patch. --target keeps that flag from build scripts and macros, which must be dynamic.
# touch, because cargo goes by times, and an older checkout must not get what is left of a newer one.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    set -eu; \
    case "$TARGETARCH" in \
        amd64) target=x86_64-unknown-linux-gnu ;; \
        arm64) target=aarch64-unknown-linux-gnu ;; \
        *) echo "unknown architecture: $TARGETARCH" >&2; exit 1 ;; \
    esac; \
    touch src/lib.rs src/main.rs; \
    RUSTFLAGS="-C target-feature=+crt-static" cargo auditable build --release --locked --target "$target" \
        --package salesforce-backup-operator --bin salesforce-backup-operator; \
    install -D "target/$target/release/salesforce-backup-operator" /out/salesforce-backup-operator; \
    if readelf --program-headers --wide /out/salesforce-backup-operator | grep -qw INTERP; then echo "not static" >&2; exit 1; fi; \
    /out/salesforce-backup-operator --version

FROM gcr.io/distroless/static-debian13:nonroot@sha256:e2e927ec666bae08560abb3c55d0659eceabb657f56b6782ab500a9fc7f555e3
COPY --from=build --chmod=0755 /out/salesforce-backup-operator /usr/local/bin/salesforce-backup-operator
ARG VERSION=""
ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="salesforce-backup-operator" \
      org.opencontainers.image.description="Kubernetes operator that runs Salesforce backups through a Commvault Command Center" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# Numbers, because the kubelet cannot verify runAsNonRoot with a name.
USER 65532:65532
# Not the base's /home/nonroot: only 65532 may enter it, and OpenShift chooses another user.
WORKDIR /
ENTRYPOINT ["/usr/local/bin/salesforce-backup-operator"]
