use crate::{fixture, scan};

#[test]
fn fires() {
    assert!(fixture("archive/elf-named-bin.toml").contains(&"executable-content"));
}

#[test]
fn almost_fires() {
    // One byte of the magic number differs.
    assert!(!scan("model.bin", b"\x7fELV\x02\x01\x01\0\0\0\0\0\0\0\0\0").contains(&"executable-content"));
}
