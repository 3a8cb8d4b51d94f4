# How the steps of the action talk to the runner. Read by the other scripts, never run.
#
# The runner obeys lines of its log that start with two colons, and reads outputs line by line. So all text that is not our own is
# escaped, or printed while the runner does not listen, or closed by a mark that nobody can guess.
# shellcheck shell=bash

set -euo pipefail
umask 077

# Hex digits that nobody can guess.
random() {
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n'
}

# say notice|warning|error MESSAGE
say() {
    local text=${2//'%'/'%25'}
    text=${text//$'\r'/'%0D'}
    printf '::%s title=modelscan::%s\n' "$1" "${text//$'\n'/'%0A'}"
}

# fail MESSAGE: the step fails, and so does the job.
fail() {
    say error "$1"
    exit 1
}

# set_output NAME VALUE
set_output() {
    local mark
    mark=$(random)
    printf '%s<<%s\n%s\n%s\n' "$1" "$mark" "$2" "$mark" >> "$GITHUB_OUTPUT"
}

# without_workflow_commands COMMAND...: runs it with workflow commands turned off, so that the runner obeys no line of its output.
without_workflow_commands() {
    local mark code=0
    mark=$(random)
    printf '::stop-commands::%s\n' "$mark"
    "$@" || code=$?
    printf '\n::%s::\n' "$mark"
    return "$code"
}

# A folder for what this step makes, outside of the checkout.
work_folder() {
    mktemp -d "${RUNNER_TEMP:?this runs as a step of a job}/modelscan.XXXXXXXX"
}

# lines TEXT: the lines that are not empty, as the array LISTED (LINES belongs to bash).
lines() {
    local line
    LISTED=()
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line%$'\r'}
        if [ -n "$line" ]; then LISTED+=("$line"); fi
    done <<< "$1"
}

# Whether a path lies in the workspace, where a pull request decides what stands.
in_workspace() {
    local path workspace
    path=$(realpath -m -- "$1")
    workspace=$(realpath -m -- "$GITHUB_WORKSPACE")
    case "$path/" in "$workspace"/*) return 0 ;; *) return 1 ;; esac
}

# Goes to the checkout.
enter_checkout() {
    cd -- "$GITHUB_WORKSPACE/${GATE_DIRECTORY:-.}" || fail "there is no folder ${GATE_DIRECTORY:-.} in the workspace"
}
