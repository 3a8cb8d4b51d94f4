# Short forms of common commands. Nothing depends on just: the README, .ci/run and continuous integration work without it.

_default:
    @just --list

# Format the Rust sources.
fmt:
    cargo fmt --all

# Formatting and lints of the Rust sources.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# The tests of one minute: no Python environment, no sandbox.
test-fast:
    cargo test --workspace --lib --bins
    cargo test --test cli sessions
    cargo test --test quality -- --skip totality

# Every check, as continuous integration runs them.
test:
    tests/run.sh

# Rewrite generated pages and expected outputs. Read the difference before you commit it.
tables:
    BLESS=1 cargo test --test cli

# The API documentation; a warning is an error.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# The time of scans, against hashing and other scanners: --no-peers leaves those out.
bench *ARGS:
    cargo build --release
    python3 benches/scan.py {{ARGS}}
