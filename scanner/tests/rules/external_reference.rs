use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/keras-vocabulary.toml").contains(&"external-reference"));
}

#[test]
fn almost_fires() {
    assert!(!fixture("archive/keras-dense.toml").contains(&"external-reference"));
}
