#!/usr/bin/env bash
# The end: the job passes or fails here, by the code of the scan, and then by that of the evaluation.
. "${BASH_SOURCE[0]%/*}/runner.sh"

case "${GATE_CODE:-}" in
    0) ;;
    1) say error "a finding fails the gate" ;;
    2) say error "something could not be read whole, so nobody can say what it does" ;;
    3) say error "there is nothing here that the scanner knows: is paths right?" ;;
    4) say error "the options or the configuration are wrong; the log says how" ;;
    *)
        say error "the scan did not end as it should (${GATE_CODE:-no code})"
        exit 1
        ;;
esac
if [ "$GATE_CODE" != 0 ]; then exit "$GATE_CODE"; fi
if [ "${GATE_EVALUATION:-0}" != 0 ]; then
    say error "the scan passed and the evaluation did not"
    exit 1
fi
printf 'modelscan: the gate is passed (%s)\n' "${GATE_VERDICT:-}"
