#!/usr/bin/env bash
# Uploads the SARIF file to code scanning, by the interface that GitHub documents for that. Where the token may not, as it is with pull
# requests from forks, that is said, and the gate holds all the same.
. "${BASH_SOURCE[0]%/*}/runner.sh"

# What code scanning takes, packed.
MAX_PACKED=10000000

# not_uploaded MESSAGE: an error where the upload is a must.
not_uploaded() {
    if [ "$GATE_UPLOAD" = true ]; then fail "the SARIF file was not uploaded: $1"; fi
    say notice "the SARIF file was not uploaded: $1"
    exit 0
}

case "$GATE_UPLOAD" in auto | true) ;; *) fail "upload-sarif: $GATE_UPLOAD is none of auto, true, false" ;; esac
[ -s "${GATE_SARIF:-}" ] || not_uploaded "there is none"
if [ -n "${GATE_HEAD_REPOSITORY:-}" ] && [ "$GATE_HEAD_REPOSITORY" != "$GITHUB_REPOSITORY" ]; then
    not_uploaded "this pull request comes from a fork, and its token may not write"
fi
[ -n "${GATE_TOKEN:-}" ] || not_uploaded "there is no token"

enter_checkout
commit=$(git rev-parse --verify HEAD) || not_uploaded "the checkout is no repository"
ref=$GITHUB_REF
if [ "$commit" != "$GITHUB_SHA" ]; then
    [ "$commit" = "${GATE_HEAD_SHA:-}" ] || not_uploaded "the checkout is at another commit than this run"
    [[ ${GATE_NUMBER:-} =~ ^[0-9]+$ ]] || not_uploaded "the pull request has no number"
    ref=refs/pull/$GATE_NUMBER/head
fi
[[ $commit =~ ^[0-9a-f]{40,64}$ ]] || not_uploaded "the commit is not known"
# A name of a branch may hold quotes, and no backslash.
ref=${ref//'"'/'\"'}

folder=$(work_folder)
gzip --stdout -- "$GATE_SARIF" > "$folder/packed"
[ "$(wc -c < "$folder/packed")" -le "$MAX_PACKED" ] || not_uploaded "it is larger than code scanning takes"
{
    printf '{"commit_sha":"%s","ref":"%s","tool_name":"modelscan","sarif":"' "$commit" "$ref"
    base64 --wrap=0 < "$folder/packed"
    printf '"}'
} > "$folder/body"
# The token stands on no command line.
status=$(printf 'header = "Authorization: Bearer %s"\n' "$GATE_TOKEN" | curl --config - --silent --show-error --max-time 120 \
    --header 'Accept: application/vnd.github+json' --header 'Content-Type: application/json' --data-binary "@$folder/body" \
    --output "$folder/answer" --write-out '%{http_code}' -- "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/code-scanning/sarifs") \
    || not_uploaded "the server cannot be reached"
case "$status" in
    2??) say notice "the SARIF file is with code scanning" ;;
    403 | 404) not_uploaded "the server says $status: it takes the permission security-events: write, and code scanning to be on" ;;
    *) not_uploaded "the server says $status" ;;
esac
