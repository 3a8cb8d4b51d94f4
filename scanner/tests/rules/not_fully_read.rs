use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/zip-encrypted.toml").contains(&"not-fully-read"));
}

#[test]
fn almost_fires() {
    assert!(!fixture("archive/zip-method-deflate.toml").contains(&"not-fully-read"));
}
