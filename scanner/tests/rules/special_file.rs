use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/tar-fifo.toml").contains(&"special-file"));
}

#[test]
fn almost_fires() {
    assert!(!fixture("archive/tar-hardlink.toml").contains(&"special-file"));
}
