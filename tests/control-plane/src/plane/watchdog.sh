#!/usr/bin/env bash
# Runs one control plane for as long as anybody uses it, and leaves nothing behind.
#
#   setsid --fork bash watchdog.sh PROGRAMS GATE PARENT LINGER
#
# PROGRAMS  folder of etcd and kube-apiserver
# GATE      file; whoever has it locked may start, join or remove this control plane, and nobody else
# PARENT    the process that may start another user: cargo, between two test binaries
# LINGER    seconds to wait for that
# stdin     a file that the starter locked; it stays locked for as long as this process lives
#
# In the current folder, which belongs to this control plane and is removed at the end:
#
# NAME.flags           in: one flag a line
# users.lock           in: every user has a shared lock on it, which the kernel releases however the user ends
# kube-apiserver.off   in: while it exists, kube-apiserver is stopped
# NAME.pid             out: while the program runs
# NAME.log             out: what it says
# failed               out: why it does not run, when it ended by itself
set -u
programs=$1 gate=$2 parent=$3 linger=$4
folder=$PWD
declare -A pid=()

type -P flock setpriv >/dev/null || {
  echo "flock and setpriv are needed, of util-linux" >&2
  exit 1
}

# Nothing is ever written to this pipe: reading it with a timeout is a sleep that needs no process.
exec {silence}<> <(:)
pause() { read -rt 0.2 -u "$silence"; }

# Starts a program that is killed when this process dies, however that happens. The kernel does that for children, so
# there must be no shell between: a function with an & of its own, never `function &`.
start() {
  local flags
  mapfile -t flags <"$1.flags"
  setpriv --pdeathsig KILL -- "$programs/$1" "${flags[@]}" </dev/null >>"$1.log" 2>&1 &
  pid[$1]=$!
  echo "${pid[$1]}" >"$1.pid"
}

# Waits in the background until nobody uses it. The shared locks keep out the exclusive one, which is released at once.
watch_users() {
  setpriv --pdeathsig KILL -- flock --exclusive users.lock true </dev/null &
  pid[users]=$!
}

# Any other failure of flock means that the folder is gone, and with it all who could have found it.
in_use() {
  flock --exclusive --nonblock --conflict-exit-code 75 users.lock true
  (($? == 75))
}

runs() { [[ -v pid[$1] ]] && kill -0 "${pid[$1]}" 2>/dev/null; }

# Killed, not asked: kube-apiserver would wait for its watches to end, and what was acknowledged is in etcd.
stop() {
  [[ -v pid[$1] ]] || return 0
  kill -KILL "${pid[$1]}" 2>/dev/null
  wait "${pid[$1]}"
  unset "pid[$1]"
  rm -f "$1.pid"
}

# kube-apiserver first: it hangs without etcd.
stop_all() {
  stop kube-apiserver
  stop etcd
}

# One that ended by itself takes the other along, since half a control plane only makes its users hang. The logs stay
# for as long as there are users to read them.
fail() {
  wait "${pid[$1]}"
  local status=$?
  stop_all
  echo "$1 ended with status $status" >failed.new
  mv failed.new failed
}

# Makes the programs be as they should be.
tend() {
  [[ -e failed ]] && return
  if ! runs etcd; then
    fail etcd
  elif [[ -e kube-apiserver.off ]]; then
    stop kube-apiserver
  elif [[ ! -v pid[kube-apiserver] ]]; then
    start kube-apiserver
  elif ! runs kube-apiserver; then
    fail kube-apiserver
  fi
}

start etcd
start kube-apiserver
while true; do
  watch_users
  while runs users; do
    tend
    pause
  done

  # A parent that ended, and that nobody waited for, still has a folder in /proc, but no program there.
  end=$((SECONDS + linger))
  while [[ ! -e failed && -e /proc/$parent/exe ]] && ((SECONDS < end)) && ! in_use; do
    pause
  done

  # From here on nobody can join. Somebody may have joined before.
  exec {locked}>>"$gate"
  flock --exclusive "$locked"
  in_use || break
  exec {locked}>&-
done

stop_all
cd /
rm -rf -- "$folder"
# Last, since whoever waits for it looks whether it is still there.
rm -f -- "$gate"
