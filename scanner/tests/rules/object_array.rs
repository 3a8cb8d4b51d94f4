use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/npy-objects-harmless.toml").contains(&"object-array"));
}

#[test]
fn almost_fires() {
    assert!(!fixture("archive/npy.toml").contains(&"object-array"));
}
