#!/usr/bin/env bash
# oci-archive.sh BINARY NAME:TAG OUT.tar: the image of the Dockerfile as an OCI archive, from a static binary, without a
# container engine, the same bytes each time. What it says of itself comes from the Dockerfile.
#
#   ctr -n k8s.io images import OUT.tar          # or: skopeo copy oci-archive:OUT.tar docker://…
#
# CA_BUNDLE: the certificates, instead of Debian's. VERSION (the tag), REVISION, CREATED, SOURCE: as the Dockerfile's arguments.
set -euo pipefail
umask 022
export LC_ALL=C

limit=$((15 * 1024 * 1024))
dockerfile=$(dirname "$0")/../../Dockerfile
certificates=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}

die() { echo "oci-archive.sh: $*" >&2; exit 1; }

[ $# -eq 3 ] || die "usage: oci-archive.sh BINARY NAME:TAG OUT.tar"
binary=$1 name=$2 out=$3
tag=${name##*:}
for tool in gzip jq readelf sha256sum tar; do
    command -v "$tool" >/dev/null || die "$tool is missing"
done
# containerd keeps the name as it is, and the kubelet asks for the whole one: "operator:dev" would be imported and never found.
[[ $name =~ ^([a-z0-9-]+(\.[a-z0-9-]+)+|localhost)(:[0-9]+)?(/[a-z0-9._-]+)+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
    die "not a whole name with registry and tag, such as docker.io/library/salesforce-backup-operator:dev: $name"
[ -s "$certificates" ] || die "no certificates at $certificates: install ca-certificates, or set CA_BUNDLE"
[ -s "$binary" ] || die "no binary at $binary"

# The image has neither a loader nor libraries; a binary that needs one would say "no such file or directory" of itself.
headers=$(readelf --file-header --program-headers --dynamic --wide "$binary" 2>/dev/null) || die "not an ELF file: $binary"
if grep -qE '^ +INTERP |\(NEEDED\)' <<<"$headers"; then
    die "not a static binary, build it with RUSTFLAGS='-C target-feature=+crt-static' and --target: $binary"
fi
case $(sed -n 's/^ *Machine: *//p' <<<"$headers") in
    *X86-64) architecture=amd64 ;;
    AArch64) architecture=arm64 ;;
    *) die "neither amd64 nor arm64: $binary" ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layout=$work/layout base=$work/base program=$work/program
mkdir -p "$layout/blobs/sha256" "$base/etc/ssl/certs"

# --- The Dockerfile's last stage ---

stage=$(sed -n '/^FROM .*distroless/,$p' "$dockerfile")
instruction() { sed -n "s/^$1 //p" <<<"$stage" | tail -n 1; }
user=$(instruction USER) folder=$(instruction WORKDIR) entrypoint=$(instruction ENTRYPOINT)
path=$(jq -er '.[0]' <<<"$entrypoint") || die "no ENTRYPOINT in $dockerfile"
[[ $user =~ ^[0-9]+:[0-9]+$ && $folder == /* && $path == /*/* ]] || die "no USER, WORKDIR or path in $dockerfile"
created=${CREATED:-1970-01-01T00:00:00Z}
labels=$(sed -nE 's/^(LABEL|   ) +(org\.opencontainers\.image\.[a-z]+)=(".*")( \\)?$/{"\2": \3}/p' <<<"$stage" | jq -cs \
    --arg SOURCE "${SOURCE:-}" --arg VERSION "${VERSION:-$tag}" --arg REVISION "${REVISION:-}" --arg CREATED "$created" \
    'add | map_values(if test("^\\$\\{[A-Z]+\\}$") then $ARGS.named[.[2:-1]] // error("no argument for " + .) else . end)')
[ "$(jq length <<<"$labels")" -eq 7 ] || die "labels of $dockerfile are not one a line: $labels"

# --- Files: of the base what matters here, as it has them ---

# The id must have a name for programs that ask. Nobody logs in, nothing is written: no /tmp and no home.
printf '%s\n' 'root:x:0:0:root:/root:/sbin/nologin' 'nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin' \
    'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' >"$base/etc/passwd"
printf '%s\n' 'root:x:0:' 'nobody:x:65534:' 'tty:x:5:' 'staff:x:50:' 'nonroot:x:65532:' >"$base/etc/group"
# glibc has these two built in; any other would have to be loaded, which a static binary cannot.
printf 'hosts: files dns\n' >"$base/etc/nsswitch.conf"
install -m 644 "$certificates" "$base/etc/ssl/certs/ca-certificates.crt"
install -D -m 755 "$binary" "$program$path"

# --- Blobs ---

# blob MEDIA-TYPE FILE: moves the file among the blobs, and prints its descriptor.
blob() {
    local digest size
    digest=$(sha256sum "$2") digest=${digest%% *} size=$(stat -c %s "$2")
    mv "$2" "$layout/blobs/sha256/$digest"
    jq -nc --arg type "$1" --arg digest "sha256:$digest" --argjson size "$size" '{mediaType: $type, digest: $digest, size: $size}'
}

pack() { tar --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$1" -c -f "$2" "${@:3}"; }

# Two layers: a node that has the certificates fetches only the program of a new version.
diffs=() layers=()
for root in "$base" "$program"; do
    top=("$root"/*)
    pack "$root" "$work/layer.tar" -- "${top[@]##*/}"
    digest=$(sha256sum "$work/layer.tar")
    diffs+=("sha256:${digest%% *}")
    gzip -9 -n "$work/layer.tar"
    layers+=("$(blob application/vnd.oci.image.layer.v1.tar+gzip "$work/layer.tar.gz")")
done

jq -nc --arg created "$created" --arg architecture "$architecture" --arg user "$user" --arg folder "$folder" \
    --argjson entrypoint "$entrypoint" --argjson labels "$labels" '{
        created: $created, architecture: $architecture, os: "linux",
        config: {
            User: $user,
            Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            Entrypoint: $entrypoint, WorkingDir: $folder, Labels: $labels
        },
        rootfs: {type: "layers", diff_ids: $ARGS.positional},
        history: [
            {created: $created, created_by: "certificates and users"},
            {created: $created, created_by: "program"}
        ]
    }' --args "${diffs[@]}" >"$work/config.json"
config=$(blob application/vnd.oci.image.config.v1+json "$work/config.json")

jq -nc --argjson config "$config" '{
        schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: $config, layers: [$ARGS.positional[] | fromjson]
    }' --args "${layers[@]}" >"$work/manifest.json"
manifest=$(blob application/vnd.oci.image.manifest.v1+json "$work/manifest.json")

# containerd takes the whole name, others the tag.
jq -nc --argjson manifest "$manifest" --arg architecture "$architecture" --arg name "$name" --arg tag "$tag" '{
        schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [$manifest + {
            platform: {architecture: $architecture, os: "linux"},
            annotations: {"io.containerd.image.name": $name, "org.opencontainers.image.ref.name": $tag}
        }]
    }' >"$layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"

size=$(jq -s 'map(.size) | add' <<<"$config $manifest ${layers[*]}")
[ "$size" -le "$limit" ] || die "larger than 15 MiB: $size bytes"
pack "$layout" "$work/image.tar" -- oci-layout index.json blobs
mv "$work/image.tar" "$out"
echo "$name $architecture $(jq -r .digest <<<"$manifest"): $size bytes compressed, in layers of $(jq -s -r 'map(.size | tostring) | join(" and ")' <<<"${layers[*]}")"
