use crate::scan;

#[test]
fn fires() {
    assert!(scan("model.pkl", b"cos\nsystem\n(S'id'\ntR").contains(&"malformed-pickle"));
}

#[test]
fn almost_fires() {
    // STOP ends it.
    assert!(!scan("model.pkl", b"cos\nsystem\n(S'id'\ntR.").contains(&"malformed-pickle"));
}
