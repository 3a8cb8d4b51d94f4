//! The escape suite, for Linux.

#[cfg(target_os = "linux")]
#[path = "escapes/suite.rs"]
mod suite;

#[cfg(target_os = "linux")]
fn main() -> suite::Result<()> {
    suite::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    fixtures::skip(fixtures::Need::Machine, "the sandbox needs Linux");
}
