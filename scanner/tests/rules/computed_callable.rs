use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("pickle/computed-name.pkt").contains(&"computed-callable"));
}

#[test]
fn almost_fires() {
    // The memo gives a literal name back: nothing is computed.
    assert!(!fixture("pickle/stack-global-memo.pkt").contains(&"computed-callable"));
}
