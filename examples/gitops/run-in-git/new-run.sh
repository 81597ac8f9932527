#!/bin/sh
# Requests another run in Git, from a scheduled CI job or by hand: new-run.sh FILE [RUN_ID]
# RUN_ID is today unless given, so that a CI job that is started again the same day changes nothing, and starts nothing.
set -eu
file=$1
run=${2:-$(date -u +%Y-%m-%d)}
case $run in
*[!A-Za-z0-9._-]* | "") echo "not a runId: $run" >&2; exit 2 ;;
esac
if [ "$(grep -c '^  runId:' "$file")" != 1 ]; then
    echo "$file must have one line that begins with '  runId:'" >&2
    exit 2
fi
changed=$(sed "s/^  runId:.*/  runId: \"$run\"/" "$file")
printf '%s\n' "$changed" >"$file"
if git diff --quiet -- "$file"; then
    echo "$run was requested already"
else
    git commit --quiet --message "Back up Salesforce: $run" -- "$file"
    echo "$run is requested"
fi
git push --quiet # also what an earlier call committed and could not push
