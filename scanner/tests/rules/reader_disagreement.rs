use crate::scan;

#[test]
fn fires() {
    assert!(scan("model.pkl", b"I0x10\n.").contains(&"reader-disagreement"));
}

#[test]
fn almost_fires() {
    assert!(!scan("model.pkl", b"I16\n.").contains(&"reader-disagreement"));
}
