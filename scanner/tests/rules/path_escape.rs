use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/zip-path-parent.toml").contains(&"path-escape"));
}

#[test]
fn almost_fires() {
    // Dots within a name, and a path that stays inside.
    assert!(!fixture("archive/zip-path-dots-inside.toml").contains(&"path-escape"));
}
