#!/usr/bin/env bash
# The chart on a real node: what only pods show. Takes any cluster, and leaves it as it was.
#
#   KUBECONFIG=… IMAGE=registry/name:tag tests/node/suite.sh
#
# The image must be in the cluster already (kind load, ctr images import) or be pulled by its name. kubectl, helm, jq and curl are
# looked for in PATH. Everything happens in a namespace of its own that admits only pods fit for the restricted standard.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${IMAGE:?the image, as registry/name:tag}"
namespace=sfb-node-$RANDOM release=op
operator=$release-salesforce-backup-operator
work=$(mktemp -d)
started=0 # how many runs were asked for so far

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
warn() { say "left behind: $*" >&2; }
k() { kubectl --namespace "$namespace" "$@"; }

finish() {
    local status=$?
    [ -z "${forward:-}" ] || kill "$forward" 2>/dev/null || true
    if [ "$status" != 0 ]; then
        k get salesforcebackups,pods,events -o wide || true
        k logs --selector app.kubernetes.io/name=salesforce-backup-operator --prefix --tail=40 || true
    fi
    # Only what this suite did itself.
    [ -z "${node:-}" ] || kubectl uncordon "$node" >/dev/null || warn "node $node is cordoned"
    if [ -n "${brought:-}" ]; then
        helm uninstall "$release" --namespace "$namespace" --ignore-not-found --wait >/dev/null || warn "release $release"
        kubectl delete crd salesforcebackups.commandcenter.dev --ignore-not-found >/dev/null || warn "the definitions"
        kubectl delete namespace "$namespace" --timeout=120s >/dev/null || warn "namespace $namespace"
    fi
    rm -rf "$work"
    [ "$status" = 0 ] || say "failed"
}
trap finish EXIT

# until_is SECONDS WHAT COMMAND… : waits until the command prints exactly that.
until_is() {
    local patience=$1 expected=$2 got='' end=$((SECONDS + $1))
    shift 2
    while [ "$SECONDS" -lt "$end" ]; do
        got=$("$@" 2>&1) || true
        [ "$got" != "$expected" ] || return 0
        sleep 0.5
    done
    fail "waited $patience s for «$expected» of: $*; it is «$got»"
}

# back_up NAME CLIENT : asks for a backup of a target of its own.
back_up() {
    k apply -f - >/dev/null <<YAML
apiVersion: commandcenter.dev/v1alpha1
kind: SalesforceBackup
metadata: {name: $1}
spec: {commandCenter: {secretRef: {name: commandcenter}}, associations: [{clientId: $2}]}
YAML
    started=$((started + 1))
}
phase() { k get salesforcebackup "$1" --output 'jsonpath={.status.phase}'; }
# The lease names the pod, and which run of it. new_leader OLD : waits until a pod leads that is there and is another one.
new_leader() {
    local pod end=$((SECONDS + 90))
    while [ "$SECONDS" -lt "$end" ]; do
        pod=$(k get lease "$operator" --output 'jsonpath={.spec.holderIdentity}' | sed 's/-[0-9a-f]*$//') || true
        if [ -n "$pod" ] && [ "$pod" != "$1" ] && k get pod "$pod" >/dev/null 2>&1; then
            echo "$pod"
            return
        fi
        sleep 0.5
    done
    fail "waited 90 s for a pod that leads, other than «$1»"
}
# followed NAME : the backup was submitted before the present leader began to lead, and ended after that.
followed() {
    local led times
    led=$(k get lease "$operator" --output 'jsonpath={.spec.acquireTime}')
    times=$(k get salesforcebackup "$1" --output 'jsonpath={.status.submittedAt} {.status.finishedAt}')
    [[ ${times% *} < $led && $led < ${times#* } ]] || fail "$1 ran from ${times/ / to }, and the present leader leads since $led"
}
ready_pods() { k get deployment "$operator" --output 'jsonpath={.status.readyReplicas}'; }

# Each run was started once, by what the Command Center executed.
no_duplicates() {
    local ledger
    ledger=$(curl --silent --show-error --insecure --header "Authtoken: $token" "https://127.0.0.1:$port/_simulator/ledger")
    local calls runs
    calls=$(jq length <<<"$ledger")
    # Namespace and name, cluster, run: all of a description but the attempt.
    runs=$(jq '[.[].description | split("/")[1:5]] | unique | length' <<<"$ledger")
    [ "$calls $runs" = "$started $started" ] || fail "$started runs were asked for, $calls calls of $runs runs executed: $ledger"
    say "   $started runs, $calls calls, 0 duplicates"
}

[ -z "$(kubectl get crd salesforcebackups.commandcenter.dev --ignore-not-found --output name)" ] || fail "the cluster has SalesforceBackups already; take another one"

say "1. a namespace that admits only restricted pods, and the packaged chart with two replicas"
brought=1
kubectl create namespace "$namespace" >/dev/null
kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
helm package charts/salesforce-backup-operator --destination "$work" >/dev/null
chart=$(echo "$work"/*.tgz)
tag=${IMAGE##*:} repository=${IMAGE%:*}
values=(--set "image.repository=$repository,image.tag=$tag,image.pullPolicy=IfNotPresent"
    --set "allowAnyEndpoint=true,pollInterval=2s,settle=5s,tests.enabled=true,podDisruptionBudget.enabled=true")
helm install "$release" "$chart" --namespace "$namespace" "${values[@]}" --wait --timeout 3m >"$work/notes"
until_is 60 2 ready_pods

say "2. a simulated Command Center in a pod, its log as the Secret, and a backup to its end"
sed "s|image: .*|image: $IMAGE|; s|job-duration=20s|job-duration=40s|" examples/simulator.yaml | k apply -f - >/dev/null
k wait --for=condition=Ready pod/commandcenter-simulator --timeout=60s >/dev/null
k logs pod/commandcenter-simulator | k apply -f - >/dev/null
token=$(k get secret commandcenter --output 'jsonpath={.data.token}' | base64 --decode)
k port-forward pod/commandcenter-simulator :8443 >"$work/forward" 2>&1 &
forward=$!
until_is 30 1 grep --count 'Forwarding from 127.0.0.1' "$work/forward"
port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\).*/\1/p' "$work/forward")
back_up first 1
until_is 90 Succeeded phase first
k get salesforcebackups
no_duplicates

say "3. the leading pod is deleted at once in mid-run, and right after requests, again and again"
# (Processes that are killed in earnest, and frozen, are in tests/soak.)
back_up killed 2
until_is 30 Running phase killed
pod=""
for round in 1 2 3; do
    pod=$(new_leader "$pod")
    for client in 1 2 3; do back_up "killed-$round-$client" "$((10 * round + client))"; done
    k delete pod "$pod" --force --grace-period=0 >/dev/null 2>&1 || fail "pod $pod cannot be deleted"
done
pod=$(new_leader "$pod")
until_is 90 2 ready_pods
for name in killed killed-{1,2,3}-{1,2,3}; do until_is 180 Succeeded phase "$name"; done
no_duplicates

say "4. a rolling upgrade in mid-run"
back_up upgraded 3
until_is 30 Running phase upgraded
helm upgrade "$release" "$chart" --namespace "$namespace" "${values[@]}" --set-string podAnnotations.upgraded=yes --wait --timeout 3m >/dev/null
pod=$(new_leader "$pod")
until_is 90 Succeeded phase upgraded
followed upgraded
no_duplicates

say "5. the leader's node is drained in mid-run: the disruption budget keeps one replica"
back_up drained 4
until_is 30 Running phase drained
node=$(k get pod "$pod" --output 'jsonpath={.spec.nodeName}')
drain=(kubectl drain "$node" --pod-selector app.kubernetes.io/name=salesforce-backup-operator --ignore-daemonsets)
if [ "$(kubectl get nodes --output name | wc -l)" = 1 ]; then
    # There is no other node: one pod must stay.
    if "${drain[@]}" --timeout=20s >"$work/drain" 2>&1; then fail "the last replica was evicted"; fi
    grep -q "disruption budget" "$work/drain" || fail "something else kept the last replica: $(cat "$work/drain")"
    until_is 30 1 ready_pods
else
    "${drain[@]}" --timeout=120s >"$work/drain" 2>&1 || fail "the node was not drained: $(cat "$work/drain")"
    pod=$(new_leader "$pod")
    followed_by=$pod
fi
until_is 90 Succeeded phase drained
[ -z "${followed_by:-}" ] || followed drained
kubectl uncordon "$node" >/dev/null
node=""
until_is 120 2 ready_pods
no_duplicates

say "6. helm test"
helm test "$release" --namespace "$namespace" --logs --timeout 5m | sed 's/^/        /'

say "7. uninstalled, with the objects kept"
helm uninstall "$release" --namespace "$namespace" --wait >/dev/null
until_is 60 "" k get pods --selector app.kubernetes.io/name=salesforce-backup-operator --output name
[ "$(k get salesforcebackups --output name | wc -l)" = "$started" ] || fail "objects were lost"
no_duplicates
say "passed"
