use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/safetensors-overlap.toml").contains(&"structure-violation"));
}

#[test]
fn almost_fires() {
    assert!(!fixture("archive/safetensors.toml").contains(&"structure-violation"));
}
