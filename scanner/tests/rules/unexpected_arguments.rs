use crate::scan;

#[test]
fn fires() {
    assert!(scan("model.pkl", b"ccollections\ndefaultdict\n(cos\nsystem\ntR.").contains(&"unexpected-arguments"));
}

#[test]
fn almost_fires() {
    // A plain type is what picklers write as the factory.
    assert!(
        !scan("model.pkl", b"ccollections\ndefaultdict\n(c__builtin__\nlist\ntR.").contains(&"unexpected-arguments")
    );
}
