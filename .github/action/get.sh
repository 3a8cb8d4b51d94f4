#!/usr/bin/env bash
# Gets the modelscan command: one that is there, one that is downloaded and has the right hash, or one built from the source of this
# action. Never one that the pull request brings.
. "${BASH_SOURCE[0]%/*}/runner.sh"

from_path() {
    case "$GATE_BINARY" in /*) ;; *) fail "binary: give an absolute path" ;; esac
    if in_workspace "$GATE_BINARY"; then
        fail "binary: it lies in the workspace, where a pull request decides what stands; put it elsewhere"
    fi
    [ -x "$GATE_BINARY" ] || fail "binary: there is no program $GATE_BINARY"
    command=$GATE_BINARY
}

from_download() {
    [[ ${GATE_SHA256:-} =~ ^[0-9a-fA-F]{64}$ ]] || fail "download: give its sha256, 64 hexadecimal digits"
    command=$(work_folder)/modelscan
    curl --silent --show-error --fail --location --proto '=http,https' --max-time 300 --max-filesize 209715200 \
        --output "$command" -- "$GATE_DOWNLOAD" || fail "download: it cannot be had"
    printf '%s  %s\n' "${GATE_SHA256,,}" "$command" | sha256sum --check --status \
        || fail "download: its SHA-256 is not the one that was given; nothing of it was run"
    chmod 500 "$command"
}

from_source() {
    local source folder
    source=$(realpath -- "$GITHUB_ACTION_PATH")
    command -v cargo > /dev/null || fail "cargo is missing: install Rust, or give binary, or download and sha256"
    # Cargo obeys the configuration of all folders above.
    folder=$source
    while folder=${folder%/*} && [ -n "$folder" ]; do
        if in_workspace "$folder" && { [ -e "$folder/.cargo" ] || [ -L "$folder/.cargo" ]; }; then
            fail "$folder/.cargo would decide how this action is built: check it out beside the pull request, not in it"
        fi
    done
    export CARGO_TARGET_DIR="$RUNNER_TEMP/modelscan-target"
    (cd -- "$source" && without_workflow_commands cargo build --release --locked --bin modelscan) || fail "modelscan cannot be built"
    command=$CARGO_TARGET_DIR/release/modelscan
}

if [ "${GITHUB_EVENT_NAME:-}" = pull_request_target ]; then
    fail "pull_request_target runs with the rights of the base on files of the pull request: use pull_request, which needs none of them (docs/ci.md)"
fi
if [ -n "${GATE_BINARY:-}" ]; then
    from_path
elif [ -n "${GATE_DOWNLOAD:-}" ]; then
    from_download
else
    from_source
fi
"$command" --version || fail "the modelscan command does not run here"
set_output command "$command"
