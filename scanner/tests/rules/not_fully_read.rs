use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/safetensors-truncated.toml").contains(&"not-fully-read"));
}

#[test]
fn almost_fires() {
    assert!(!fixture("archive/safetensors.toml").contains(&"not-fully-read"));
}
