#!/usr/bin/env bash
# Runs every check: formatting, lints, documentation, spelling, all tests. A failed step does not stop the others; the summary names it.
# Needs cargo, a C compiler and python3. `MODELSCAN_REQUIRE=python,sandbox,network` fails where a test is skipped for such a need.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

export MODELSCAN_SKIPS="$PWD/target/skipped-tests.txt"
tools=target/lint-tools/bin
ran=()
failed=()

# step NAME COMMAND...
step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n==> %s\n' "$name"
    if "$@"; then
        ran+=("ok      $name ($((SECONDS - start)) s)")
    else
        ran+=("FAILED  $name ($((SECONDS - start)) s)")
        failed+=("$name")
    fi
}

# lint NAME COMMAND...: a step whose tool comes from PyPI. Without network it is skipped, as a test of need `network` is.
lint() {
    if [ -n "$lint_tools" ]; then
        step "$@"
    elif [[ ",${MODELSCAN_REQUIRE:-}," == *,network,* ]]; then
        step "$1" eval 'echo "MODELSCAN_REQUIRE lists network, and the lint tools cannot be installed"; false'
    else
        echo "lint::$1 (needs network): the tools of tests/requirements.txt cannot be installed" | tee -a "$MODELSCAN_SKIPS"
    fi
}

install_lint_tools() {
    cmp --silent tests/requirements.txt target/lint-tools/requirements.txt && return
    python3 -m venv --clear target/lint-tools &&
        "$tools/python" -m pip install --quiet --disable-pip-version-check --timeout=20 --requirement tests/requirements.txt &&
        cp tests/requirements.txt target/lint-tools/
}

lock_file() {
    cargo metadata --locked --format-version=1 >/dev/null
}

scripts() {
    "$tools/shellcheck" --external-sources --source-path=.github/action --shell=bash \
        .ci/run tests/run.sh sandbox-exec/tests/vm.sh .github/action/*.sh
}

types() {
    # From its folder: mypy reads the configuration there.
    (cd python && "../$tools/mypy")
}

mkdir -p target
: >"$MODELSCAN_SKIPS"
lint_tools=
if install_lint_tools; then lint_tools=yes; fi

step "Cargo.lock" lock_file
step "rustfmt" cargo fmt --all --check
step "clippy" cargo clippy --workspace --all-targets -- -D warnings
step "rustdoc" env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
step "fuzz targets" cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz
lint "typos" "$tools/typos"
lint "ruff check" "$tools/ruff" check --output-format=concise python
lint "ruff format" "$tools/ruff" format --check python
lint "mypy" types
lint "shellcheck" scripts
step "tests" cargo test --workspace --no-fail-fast

printf '\n==> summary\n'
printf '%s\n' "${ran[@]}"
skipped=$(sort -u "$MODELSCAN_SKIPS")
if [ -n "$skipped" ]; then
    printf '\nskipped (MODELSCAN_REQUIRE=NEED makes a skip a failure):\n%s\n' "$skipped"
fi
echo
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED in %d s:' "$SECONDS"
    printf ' %s;' "${failed[@]}"
    echo
    exit 1
fi
echo "All checks passed in $SECONDS s."
