#!/usr/bin/env bash
# Runs the evaluation in the sandbox. It sees the checkout without the repository's own folder, where a token may lie, and nothing else of
# this machine; what it prints is not obeyed.
. "${BASH_SOURCE[0]%/*}/runner.sh"

if [ "${GATE_CODE:-}" != 0 ]; then
    say notice "nothing was evaluated: the scan did not pass"
    exit 0
fi
case "$GATE_PROFILE" in
    /*) if in_workspace "$GATE_PROFILE"; then fail "profile: it lies in the workspace, where a pull request decides what stands"; fi ;;
    */* | *.toml) fail "profile: give a name, or an absolute path outside of the workspace" ;;
esac
enter_checkout
checkout=$PWD
folder=$(work_folder)
mkdir -- "$folder/out"
set_output folder "$folder"
run=("$GATE_COMMAND" run "--profile=$GATE_PROFILE" --report "$folder/run.json" --out "$folder/out" --workdir /in)
shopt -s nullglob dotglob
for entry in *; do
    # A link is followed when it is bound, and would lead out.
    if [ "$entry" = .git ] || [ -L "$entry" ]; then continue; fi
    run+=(--ro "$checkout/$entry:/in/$entry")
done
if [ -d "${GATE_CONVERTED:-}" ]; then run+=(--ro "$GATE_CONVERTED:/converted"); fi
lines "${GATE_EVALUATE_OPTIONS:-}"
run+=(${LISTED[@]+"${LISTED[@]}"})
if [ "${GATE_SUDO:-false}" = true ]; then run=(sudo -n -- "${run[@]}"); fi

# From a folder in which no name means anything.
cd -- "$folder"
code=0
without_workflow_commands "${run[@]}" -- sh -c "$GATE_EVALUATE" 2>&1 || code=$?
set_output code "$code"
case "$code" in
    0) say notice "the evaluation passed" ;;
    124) say error "the evaluation took longer than it may" ;;
    125) say error "the sandbox could not be set up, so nothing was evaluated; the log says what is missing (modelscan run --doctor)" ;;
    *) say error "the evaluation failed with code $code" ;;
esac
