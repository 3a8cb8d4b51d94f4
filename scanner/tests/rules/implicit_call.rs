use crate::fixture;

#[test]
fn fires() {
    assert!(fixture("pickle/append-namespace.pkt").contains(&"implicit-call"));
}

#[test]
fn almost_fires() {
    // `append` of a deque only keeps the item.
    assert!(!fixture("pickle/append-deque.pkt").contains(&"implicit-call"));
}
