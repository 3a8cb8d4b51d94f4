use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/zip-central-only.toml").contains(&"archive-mismatch"));
}

#[test]
fn almost_fires() {
    // Sizes after the data, in a descriptor, are a form that all readers know.
    assert!(!fixture("archive/torch-zip-descriptors.toml").contains(&"archive-mismatch"));
}
