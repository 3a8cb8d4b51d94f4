use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/bomb-gzip.toml").contains(&"decompression-bomb"));
}

#[test]
fn almost_fires() {
    assert!(!fixture("archive/stream-gzip-harmless.toml").contains(&"decompression-bomb"));
}
