use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/polyglot-pickle-zip.toml").contains(&"polyglot"));
}

#[test]
fn almost_fires() {
    // A comment after the directory is part of the zip.
    assert!(!fixture("archive/zip-comment.toml").contains(&"polyglot"));
}
