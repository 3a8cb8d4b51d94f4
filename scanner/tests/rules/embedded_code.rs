use crate::scan;

#[test]
fn fires() {
    // The id is reserved. A pickle of a compiled function has to import `marshal.loads`, which another rule reports.
    assert_eq!(scan("model.pkl", b"cmarshal\nloads\n(S'c'\ntR."), ["unsafe-callable"]);
}

#[test]
fn almost_fires() {
    // Marshalled bytes that nothing loads are plain data.
    assert!(scan("model.pkl", b"S'c\\x00\\x00'\n.").is_empty());
}
