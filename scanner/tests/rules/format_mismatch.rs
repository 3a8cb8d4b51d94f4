use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/pickle-named-safetensors.toml").contains(&"format-mismatch"));
}

#[test]
fn almost_fires() {
    // A name without an extension promises no format.
    assert!(!fixture("archive/pickle-without-extension.toml").contains(&"format-mismatch"));
}
