//! Listings of pickles that no library writes: cycles, exponential sharing, invalid shapes.

use scanner::Limits;
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::pickle::{self, Options, Trace};
use scanner::source::{Memory, SharedSource};
use std::sync::Arc;
use std::time::Instant;

fn follow(assembly: &str) -> Trace {
    let bytes = fixtures::assemble(assembly).expect("the assembly is right");
    let source: SharedSource = Arc::new(Memory::new(bytes));
    let budget = ScanBudget::start(Arc::new(Limits { items: 1_000_000, heap_bytes: 256 << 20, ..Limits::default() }));
    pickle::read(&source, 0, &Options::PLAIN, &budget, &mut |_, _| false)
}

/// A tensor of that shape, as torch writes it.
fn tensor(shape: &str) -> String {
    format!(
        "GLOBAL 'torch._utils' '_rebuild_tensor_v2'\nMARK\nMARK\nBINUNICODE 'storage'\nGLOBAL 'torch' 'FloatStorage'\n\
         BINUNICODE '0'\nBINUNICODE 'cpu'\nBININT1 4\nTUPLE\nBINPERSID\nBININT1 0\n{shape}\n{shape}\nNEWFALSE\nNONE\nTUPLE\nREDUCE\n"
    )
}

fn names(assembly: &str) -> (Vec<String>, bool) {
    let listing = loader::list::list_trace(&follow(assembly));
    (listing.tensors.into_iter().map(|tensor| tensor.name).collect(), listing.complete)
}

#[test]
fn a_dict_that_contains_itself_is_visited_once() {
    let tensor = tensor("BININT1 4\nTUPLE1");
    let text = format!(
        "PROTO 2\nEMPTY_DICT\nBINPUT 0\nBINUNICODE 'w'\n{tensor}SETITEM\nBINUNICODE 'self'\nBINGET 0\nSETITEM\nSTOP"
    );
    assert_eq!(names(&text), (vec!["w".to_owned()], true));
}

#[test]
fn exponentially_shared_lists_stop_at_the_limit() {
    let mut text = format!("PROTO 2\n{}BINPUT 0\n", tensor("BININT1 4\nTUPLE1"));
    for level in 0..60 {
        text += &format!("BINGET {level}\nBINGET {level}\nTUPLE2\nBINPUT {}\n", level + 1);
    }
    let start = Instant::now();
    let listing = loader::list::list_trace(&follow(&(text + "STOP")));
    assert!(!listing.complete, "two to the power of sixty tensors cannot all be named");
    assert!(start.elapsed().as_secs() < 60, "it took {:?}", start.elapsed());
}

#[test]
fn names_are_relative_to_a_state_dict_that_holds_all_tensors() {
    let tensor = tensor("BININT1 4\nTUPLE1");
    let inner = format!("BINUNICODE 'state_dict'\nEMPTY_DICT\nBINUNICODE 'w'\n{tensor}SETITEM\nSETITEM\n");
    assert_eq!(names(&format!("PROTO 2\nEMPTY_DICT\n{inner}STOP")).0, ["w"]);
    let beside = format!("BINUNICODE 'ema'\n{tensor}SETITEM\n");
    assert_eq!(names(&format!("PROTO 2\nEMPTY_DICT\n{inner}{beside}STOP")).0, ["state_dict.w", "ema"]);
}

#[test]
fn a_call_with_an_invalid_shape_is_not_a_tensor() {
    assert_eq!(names(&format!("PROTO 2\n{}STOP", tensor("BININT -1\nTUPLE1"))).0, Vec::<String>::new());
    assert_eq!(names(&format!("PROTO 2\n{}STOP", tensor("NONE"))).0, Vec::<String>::new());
    assert_eq!(names(&format!("PROTO 2\n{}STOP", tensor("EMPTY_TUPLE"))).0, [""]);
}

#[test]
fn items_added_to_a_state_after_it_was_used_make_the_listing_incomplete() {
    let tensor = tensor("BININT1 4\nTUPLE1");
    let object = "GLOBAL 'torch.nn.modules.linear' 'Linear'\nEMPTY_TUPLE\nNEWOBJ\n";
    let filled = format!("EMPTY_DICT\nBINPUT 0\nBINUNICODE 'w'\n{tensor}SETITEM\n");
    let later = format!("BINGET 0\nBINUNICODE 'w'\n{tensor}SETITEM\nPOP\n");
    // Python copies the items of the state into the object; later items are not copied.
    let (names, complete) = names_of_object(&format!("{object}{filled}BUILD\n{later}"));
    assert!(!complete, "{names:?}");
    let below = format!("{object}EMPTY_DICT\nBINUNICODE 'a'\n{filled}SETITEM\nBUILD\n{later}");
    assert_eq!(names_of_object(&below), (vec!["a.w".to_owned()], true));
    // A state of two dicts, and the list of pairs of an ordered dict.
    let halves = format!("{object}{filled}NONE\nTUPLE2\nBUILD\n{later}");
    assert!(!names_of_object(&halves).1);
    let pair = format!("EMPTY_LIST\nBINPUT 0\nBINUNICODE 'w'\nAPPEND\n{tensor}APPEND\n");
    let ordered = format!("GLOBAL 'collections' 'OrderedDict'\nEMPTY_LIST\nBINPUT 1\n{pair}APPEND\nTUPLE1\nREDUCE\n");
    assert_eq!(names_of_object(&ordered), (vec!["w".to_owned()], true));
    assert!(!names_of_object(&format!("{ordered}BINGET 1\n{pair}APPEND\nPOP\n")).1);
    assert!(!names_of_object(&format!("{ordered}BINGET 0\nNONE\nAPPEND\nPOP\n")).1);
    // The same list was an argument of another call before.
    let list = format!("EMPTY_LIST\nBINPUT 1\n{pair}APPEND\nPOP\n");
    let deep = "GLOBAL 'collections' 'OrderedDict'\nBINGET 1\nTUPLE1\nTUPLE1\nREDUCE\nPOP\n";
    let again = "GLOBAL 'collections' 'OrderedDict'\nBINGET 1\nTUPLE1\nREDUCE\n";
    assert!(names_of_object(&format!("{list}{deep}{again}")).1);
    assert!(!names_of_object(&format!("{list}{deep}{again}BINGET 0\nNONE\nAPPEND\nPOP\n")).1);
}

fn names_of_object(assembly: &str) -> (Vec<String>, bool) {
    names(&format!("PROTO 2\n{assembly}STOP"))
}
