#!/usr/bin/env bash
# The node suite on a one-node cluster that is brought up for it and taken down again: tests/node/lab.sh LAB
#
# LAB is a folder with build.sh, node-up.sh and node-down.sh (a cluster without a container engine, in a network namespace of its
# own; needs root). Elsewhere take kind: CONTRIBUTING.md shows how.
set -euo pipefail
cd "$(dirname "$0")/../.."
lab=$(cd "${1:?the folder of the lab}" && pwd)
image=localhost/salesforce-backup-operator:test
target=$(uname -m)-unknown-linux-gnu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/salesforce-backup-operator
mkdir -p "$cache"
# There is one lab on a machine.
exec 9>"$cache/lab.lock"
flock 9
work=$(mktemp -d)
export LAB_BIN LAB_DIR=$work/lab
trap '[ -z "${LAB_BIN:-}" ] || "$lab/node-down.sh" >/dev/null 2>&1; rm -rf "$work"' EXIT

echo "building the static program and its image"
RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" --package salesforce-backup-operator --bin salesforce-backup-operator --quiet
program=${CARGO_TARGET_DIR:-target}/$target/release/salesforce-backup-operator
tests/image/oci-archive.sh "$program" "$image" "$work/image.tar"

echo "building what a node needs (nine minutes the first time), and starting it"
LAB_BIN=$("$lab/build.sh" "$cache/lab" | tail -n 1)
# What it starts goes on, and must not hold the lock.
if ! "$lab/node-up.sh" >"$work/up.log" 2>&1 9>&-; then
    cat "$work/up.log"
    exit 1
fi
"$LAB_BIN/ctr" --address "$LAB_DIR/run/containerd.sock" --namespace k8s.io images import "$work/image.tar"
PATH=$LAB_BIN:$PATH nsenter --net=/run/netns/lab env KUBECONFIG="$LAB_DIR/kubeconfig" IMAGE="$image" tests/node/suite.sh
