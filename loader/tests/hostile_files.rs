//! Files that no library writes, in torch's three containers: what Python would make of them is converted, what cannot be
//! told is refused by name, and nothing is left behind.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod checkpoint;

use checkpoint::{convert, dict, floats, lenient, never, numbers, refused, text, tuple, usual, zip};

/// Two storages of four floats.
fn two() -> [(&'static str, Vec<u8>); 2] {
    [("0", numbers(0)), ("1", numbers(100))]
}

#[test]
fn of_equal_keys_the_last_value_stays_as_in_python() {
    for second in [text("w"), "SHORT_BINSTRING 'w'".to_owned(), "UNICODE 'w'".to_owned()] {
        let pairs = format!("{}\n{}\n{second}\n{}", text("w"), floats("0", 4), floats("1", 4));
        let literal = format!("EMPTY_DICT\nMARK\n{pairs}\nSETITEMS");
        let ordered = format!("GLOBAL 'collections' 'OrderedDict'\nEMPTY_TUPLE\nREDUCE\nMARK\n{pairs}\nSETITEMS");
        for value in [literal, ordered] {
            let found = convert(&zip(&value, &two()), &usual()).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(found["w"].2, numbers(100));
        }
    }
}

#[test]
fn one_and_true_are_one_key_under_the_first_of_its_names() {
    let pairs = format!("BININT1 1\n{}\nNEWTRUE\n{}", floats("0", 4), floats("1", 4));
    let found = convert(&zip(&format!("EMPTY_DICT\nMARK\n{pairs}\nSETITEMS"), &two()), &usual()).unwrap();
    assert_eq!(
        found.into_iter().map(|(name, row)| (name, row.2)).collect::<Vec<_>>(),
        [("1".to_owned(), numbers(100))]
    );
}

#[test]
fn pairs_given_to_an_ordered_dict_count_before_its_items() {
    let pair = |value: &str| format!("EMPTY_LIST\nMARK\n{}\n{value}\nAPPENDS", text("w"));
    let listed = format!("EMPTY_LIST\n{}\nAPPEND", pair(&floats("0", 4)));
    let value = format!(
        "GLOBAL 'collections' 'OrderedDict'\n{listed}\nTUPLE1\nREDUCE\n{}\n{}\nSETITEM",
        text("w"),
        floats("1", 4)
    );
    assert_eq!(convert(&zip(&value, &two()), &lenient()).unwrap()["w"].2, numbers(100));
}

#[test]
fn names_that_are_the_same_once_joined_are_refused() {
    let inner = dict(&[("b", floats("0", 4))]);
    refused(&zip(&dict(&[("a", inner), ("a.b", floats("1", 4))]), &two()), &usual(), &["a.b: another tensor"]);
}

#[test]
fn a_tensor_that_is_changed_after_it_was_made_is_refused() {
    // `Tensor.__setstate__` takes another storage, and no import tells of it.
    let state = format!("MARK\n{}\nBININT1 0\n{}\n{}\nTUPLE", floats_storage("1"), tuple(&[4]), tuple(&[1]));
    let built = dict(&[("w", format!("{}\n{state}\nBUILD", floats("0", 4)))]);
    refused(&zip(&built, &two()), &usual(), &["changed after it was made"]);
    let wrapped = format!(
        "GLOBAL 'torch._utils' '_rebuild_parameter'\n{}\nNEWFALSE\nNONE\nTUPLE3\nREDUCE\n{state}\nBUILD",
        floats("0", 4)
    );
    refused(&zip(&dict(&[("w", wrapped)]), &two()), &usual(), &["changed after it was made"]);
    let set = dict(&[("w", format!("{}\nBININT1 0\nBINFLOAT 9.0\nSETITEM", floats("0", 4)))]);
    never(&zip(&set, &two()), &["changed after it was made"]);
}

/// Storage `key`, which has four floats.
fn floats_storage(key: &str) -> String {
    checkpoint::storage("FloatStorage", key, 4, "")
}

#[test]
fn an_empty_key_is_a_name() {
    let found = convert(&zip(&dict(&[("", floats("0", 4))]), &two()), &usual()).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [""]);
    let found = convert(&zip(&dict(&[("state_dict", dict(&[("", floats("0", 4))]))]), &two()), &usual()).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [""]);
    let found = convert(&zip(&floats("0", 4), &two()), &usual()).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [loader::BARE]);
}

#[test]
fn what_is_given_to_constructors_is_not_lost() {
    let inner = dict(&[("w", floats("1", 4))]);
    let beside = |value: String| zip(&dict(&[("a", floats("0", 4)), ("b", value)]), &two());
    let linear = "GLOBAL 'torch.nn.modules.linear' 'Linear'";
    let made = [
        format!("GLOBAL 'collections' 'OrderedDict'\n{inner}\nTUPLE1\nREDUCE"),
        format!("GLOBAL 'copyreg' '_reconstructor'\n{linear}\nGLOBAL 'builtins' 'dict'\n{inner}\nTUPLE3\nREDUCE"),
    ];
    for value in made {
        let found = convert(&beside(value), &lenient()).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b.w"]);
        assert_eq!(found["b.w"].2, numbers(100));
    }
    let keywords = format!("{linear}\nEMPTY_TUPLE\n{inner}\nNEWOBJ_EX");
    refused(&beside(keywords), &usual(), &["b.kwargs.w", "torch.nn.modules.linear.Linear"]);
    let of_set = format!("GLOBAL 'collections' 'OrderedDict'\n{}\nTUPLE1\nREDUCE", floats("1", 4));
    refused(&beside(of_set), &lenient(), &["no list of pairs"]);
}
