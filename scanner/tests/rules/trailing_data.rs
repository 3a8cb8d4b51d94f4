use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/npy-trailing.toml").contains(&"trailing-data"));
}

#[test]
fn almost_fires() {
    assert!(!fixture("archive/npy.toml").contains(&"trailing-data"));
}
