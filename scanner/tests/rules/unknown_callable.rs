use crate::scan;

#[test]
fn fires() {
    assert!(scan("model.pkl", b"cmylab.models\nNet\n.").contains(&"unknown-callable"));
}

#[test]
fn almost_fires() {
    assert!(!scan("model.pkl", b"ccollections\nOrderedDict\n.").contains(&"unknown-callable"));
}
