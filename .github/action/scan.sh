#!/usr/bin/env bash
# Scans, and tells: the log, annotations, the summary, the outputs. Does not fail by itself where there are findings: the gate does, last.
. "${BASH_SOURCE[0]%/*}/runner.sh"

# What the summary of a step may hold, less some room for others.
MAX_SUMMARY=1000000

# The commit to compare with; empty for a scan of everything.
base() {
    local event=${GITHUB_EVENT_NAME:-} mode=${GATE_MODE:-auto}
    case "$mode" in
        all) return ;;
        changed) ;;
        auto)
            case "$event" in
                pull_request | pull_request_review | merge_group) ;;
                *) [ -n "${GATE_BASE:-}" ] || return 0 ;;
            esac
            ;;
        *) say error "mode: $mode is none of auto, changed, all" >&2; return 1 ;;
    esac
    local base=${GATE_BASE:-${GATE_EVENT_BASE:-}}
    if [ -z "$base" ]; then
        say error "there is no base to compare with in a $event event: set base, or mode: all" >&2
        return 1
    fi
    printf '%s' "$base"
}

# number NAME: of the summary in the report. No string of a report can hold a line break, so only the summary has such lines.
number() {
    sed -n "s/^    \"$1\": \([0-9]*\),\{0,1\}\$/\1/p" "$folder/report.json" 2> /dev/null | head -n 1 || true
}

summarize() {
    local size
    size=$(wc -c < "$folder/summary.md")
    if [ "$size" -gt "$MAX_SUMMARY" ]; then
        # The runner drops a summary that is too long as a whole.
        printf '# modelscan: %s\n\nThe findings have no room here; the reports have all of them.\n' "$verdict" >> "$GITHUB_STEP_SUMMARY"
    else
        cat -- "$folder/summary.md" >> "$GITHUB_STEP_SUMMARY"
    fi
}

folder=$(work_folder)
since=$(base) || fail "nothing was scanned"
enter_checkout
args=(scan --no-progress --color never)
for format in json=report.json sarif=report.sarif markdown=summary.md github=annotations.txt html=report.html clean-list=clean.list; do
    args+=(--output "${format%%=*}=$folder/${format#*=}")
done
if [ -n "$since" ]; then args+=("--changed-since=$since"); fi
if [ -n "${GATE_CONFIG:-}" ]; then args+=("--config=$GATE_CONFIG"); fi
if [ -n "${GATE_BASELINE:-}" ]; then args+=("--baseline=$GATE_BASELINE"); fi
if [ -n "${GATE_FAIL_ON:-}" ]; then args+=("--fail-on=$GATE_FAIL_ON"); fi
if [ -n "${GATE_LFS:-}" ]; then args+=("--lfs=$GATE_LFS"); fi
if [ -n "${GATE_CACHE:-}" ]; then args+=("--cache=$GATE_CACHE"); fi
# Sent to the host of the repository alone.
if [ "${GATE_LFS:-}" = fetch ] && [ -n "${GATE_TOKEN:-}" ]; then export GITHUB_TOKEN=$GATE_TOKEN; fi
unset GATE_TOKEN
lines "${GATE_OPTIONS:-}"
args+=(${LISTED[@]+"${LISTED[@]}"})
args+=(--)
lines "${GATE_PATHS:-.}"
shopt -s nullglob dotglob
for path in ${LISTED[@]+"${LISTED[@]}"}; do
    if [ -z "$since" ] && { [ "$path" = . ] || [ "$path" = ./ ]; }; then
        # All of the checkout, without the repository's own folder: its hooks are programs, and its objects are of all times.
        for entry in *; do
            if [ "$entry" != .git ]; then args+=("$entry"); fi
        done
    else
        args+=("$path")
    fi
done

code=0
without_workflow_commands "$GATE_COMMAND" "${args[@]}" 2>&1 || code=$?
verdict=$(sed -n 's/^  "verdict": "\([a-z_]*\)",\{0,1\}$/\1/p' "$folder/report.json" 2> /dev/null | head -n 1 || true)
if [ -s "$folder/annotations.txt" ] && [ "${GATE_ANNOTATIONS:-true}" = true ]; then cat -- "$folder/annotations.txt"; fi
if [ -s "$folder/summary.md" ] && [ "${GATE_SUMMARY:-true}" = true ]; then summarize; fi

set_output exit-code "$code"
set_output verdict "$verdict"
for output in files=artifacts clean=clean unproven=unproven dangerous=dangerous not-scanned=not_scanned; do
    set_output "${output%%=*}" "$(number "${output#*=}")"
done
for output in report=report.json sarif=report.sarif html=report.html clean-list=clean.list; do
    if [ -e "$folder/${output#*=}" ]; then set_output "${output%%=*}" "$folder/${output#*=}"; fi
done
