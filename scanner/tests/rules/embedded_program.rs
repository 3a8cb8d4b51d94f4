use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("archive/torchscript.toml").contains(&"embedded-program"));
}

#[test]
fn almost_fires() {
    assert!(!fixture("archive/torch-zip.toml").contains(&"embedded-program"));
}
