use crate::scan;

#[test]
fn fires() {
    assert!(scan("model.pkl", b"cos\nsystem\n(S'id'\ntR.").contains(&"unsafe-callable"));
}

#[test]
fn almost_fires() {
    // Another module with a function of the same name: unknown.
    assert!(!scan("model.pkl", b"cmylab.os\nsystem\n.").contains(&"unsafe-callable"));
}
