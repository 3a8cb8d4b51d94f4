//! Files that no library writes, in the three containers of torch. They are converted as Python would read them, or refused
//! by name without a file left behind.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod checkpoint;

use checkpoint::{
    Entry, convert, dict, entries, entry, floats, left_out, lenient, never, numbers, pickle, refused, text, tuple,
    usual, zip, zip_of,
};
use loader::LoadOptions;

/// Two storages of four floats.
fn two() -> [(&'static str, Vec<u8>); 2] {
    [("0", numbers(0)), ("1", numbers(100))]
}

#[test]
fn the_last_value_of_equal_keys_counts_as_in_python() {
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
fn one_and_true_are_one_key() {
    let pairs = format!("BININT1 1\n{}\nNEWTRUE\n{}", floats("0", 4), floats("1", 4));
    let found = convert(&zip(&format!("EMPTY_DICT\nMARK\n{pairs}\nSETITEMS"), &two()), &usual()).unwrap();
    assert_eq!(
        found.into_iter().map(|(name, row)| (name, row.2)).collect::<Vec<_>>(),
        [("1".to_owned(), numbers(100))]
    );
}

#[test]
fn constructor_pairs_of_an_ordered_dict_come_before_its_items() {
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
fn equal_joined_names_are_refused() {
    let inner = dict(&[("b", floats("0", 4))]);
    refused(&zip(&dict(&[("a", inner), ("a.b", floats("1", 4))]), &two()), &usual(), &["a.b: another tensor"]);
}

#[test]
fn a_tensor_that_is_modified_after_its_construction_is_refused() {
    // `Tensor.__setstate__` replaces the storage. It is called without an import.
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
    assert_eq!(found.keys().collect::<Vec<_>>(), [loader::SINGLE_TENSOR_NAME]);
}

#[test]
fn tensors_in_constructor_arguments_are_found() {
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

#[test]
fn storages_and_keys_are_reported_as_left_out() {
    let value = dict(&[("a", floats("0", 4)), ("s", floats_storage("1"))]);
    let left = left_out(&zip(&value, &two()), &usual());
    assert!(matches!(left.as_slice(), [(name, why)] if name == "s" && why.contains("storage")), "{left:?}");
    // Optimizers of old versions of torch use parameters as keys.
    let value = format!("EMPTY_DICT\nMARK\n{}\n{}\nSETITEMS", floats("0", 4), floats("1", 4));
    let left = left_out(&zip(&value, &two()), &lenient());
    assert!(matches!(left.as_slice(), [(name, why)] if name == "0" && why.contains("a key of a dict")), "{left:?}");
    let thing = format!("GLOBAL 'evil' 'Thing'\n{}\nTUPLE1\nREDUCE", floats_storage("1"));
    never(&zip(&dict(&[("a", floats("0", 4)), ("s", thing)]), &two()), &["s.0: it is reached through evil.Thing"]);
}

#[test]
fn invalid_constructor_arguments_are_refused_by_name() {
    let beside = |value: &str| zip(&dict(&[("a", floats("0", 4)), ("b", value.to_owned())]), &two());
    let unknown = checkpoint::tensor_of(&checkpoint::storage("TypedStorage", "1", 4, ""), 0, &[4], &[1]);
    never(&beside(&unknown), &["b: its constructor is given"]);
    let negative = checkpoint::tensor_of(&floats_storage("1"), 0, &[4], &[-1]);
    never(&beside(&negative), &["b: its offset or strides"]);
    let negative = checkpoint::tensor_of(&floats_storage("1"), 0, &[-4], &[1]);
    never(&beside(&negative), &["b: its shape"]);
    let negative = checkpoint::tensor_of(&floats_storage("1"), -1, &[4], &[1]);
    never(&beside(&negative), &["b: its offset or strides"]);
    let array = "GLOBAL 'numpy.core.multiarray' '_reconstruct'\nMARK\nGLOBAL 'numpy' 'ndarray'\nBININT1 0\nTUPLE1\n\
                 SHORT_BINSTRING 'b'\nTUPLE\nREDUCE";
    refused(&beside(array), &usual(), &["b: its constructor is given"]);
    refused(&beside(&format!("{array}\nNONE\nBUILD")), &lenient(), &["b: its constructor is given"]);
}

/// A tensor of the first two elements of a storage, or of a view of it as in the legacy stream.
fn pair(class: &str, key: &str, view: &str) -> String {
    checkpoint::tensor_of(&checkpoint::storage(class, key, 4, view), 0, &[2], &[1])
}

#[test]
fn a_storage_with_two_declarations_is_refused() {
    let view = |key: &str, first: i64| format!("{}\n{}\nBININT1 2\nTUPLE3", text(key), checkpoint::int(first));
    // torch gives the second tensor the storage of the first.
    for (first, second) in [
        (pair("FloatStorage", "0", "NONE"), pair("IntStorage", "0", "NONE")),
        (pair("FloatStorage", "0", &view("v", 0)), pair("FloatStorage", "0", &view("v", 2))),
        (pair("FloatStorage", "0", &view("v", 0)), pair("FloatStorage", "1", &view("v", 0))),
        (pair("FloatStorage", "1", "NONE"), pair("FloatStorage", "0", &view("1", 0))),
    ] {
        let value = dict(&[("a", first), ("b", second), ("c", pair("FloatStorage", "1", "NONE"))]);
        let storages = [("0", 4, numbers(0)), ("1", 4, numbers(100))];
        refused(&checkpoint::legacy(&value, &storages), &lenient(), &["is named in two ways"]);
    }
    let value = dict(&[("a", pair("FloatStorage", "0", "")), ("b", pair("IntStorage", "0", ""))]);
    refused(&zip(&value, &two()), &usual(), &["a: storage 0 is named in two ways", "b: storage 0 is named"]);
    let value = dict(&[("a", pair("FloatStorage", "0", &view("v", 2))), ("b", pair("FloatStorage", "0", "NONE"))]);
    let found = convert(&checkpoint::legacy(&value, &[("0", 4, numbers(0))]), &usual()).unwrap();
    assert_eq!((&found["a"].2[..], &found["b"].2[..]), (&numbers(8)[..8], &numbers(0)[..8]));
}

#[test]
fn a_storage_class_outside_of_torch_is_refused() {
    let value = dict(&[("w", pair("'evil' 'FloatStorage'", "0", ""))]);
    never(&zip(&value, &two()), &["w: its storage is of the class evil.FloatStorage"]);
}

#[test]
fn unknown_tensor_metadata_is_refused() {
    let tensor = |metadata: &str| {
        let storage = checkpoint::storage("ComplexFloatStorage", "0", 2, "");
        let (size, stride) = (tuple(&[2]), tuple(&[1]));
        let args = format!("{storage}\nBININT1 0\n{size}\n{stride}\nNEWFALSE\nNONE\n{metadata}");
        zip(&dict(&[("w", format!("GLOBAL 'torch._utils' '_rebuild_tensor_v2'\nMARK\n{args}\nTUPLE\nREDUCE"))]), &two())
    };
    let conj = |value: &str| format!("{}\n{value}\nSETITEM", text("conj"));
    let ordered = "GLOBAL 'collections' 'OrderedDict'\nEMPTY_TUPLE\nREDUCE";
    assert_eq!(convert(&tensor(&format!("EMPTY_DICT\n{}", conj("NEWTRUE"))), &usual()).unwrap()["w"].2[7], 7 ^ 0x80);
    let twice = format!("EMPTY_DICT\n{}\n{}", conj("NEWTRUE"), conj("NEWFALSE"));
    assert_eq!(convert(&tensor(&twice), &usual()).unwrap()["w"].2[7], 7);
    for metadata in [format!("EMPTY_DICT\n{}", conj("BININT1 1")), dict(&[("zero", "NEWTRUE".to_owned())])] {
        refused(&tensor(&metadata), &usual(), &["w: its metadata"]);
    }
    never(&tensor(&format!("{ordered}\n{}", conj("NEWTRUE"))), &["w: its metadata"]);
}

/// A tensor of storage 0 as a subclass is pickled, with attributes.
fn typed(class: &str, state: &str) -> Vec<u8> {
    let (size, stride) = (tuple(&[4]), tuple(&[1]));
    let args = format!("MARK\n{}\nBININT1 0\n{size}\n{stride}\nNEWFALSE\nNONE\nTUPLE", floats_storage("0"));
    let value = format!(
        "GLOBAL 'torch._tensor' '_rebuild_from_type_v2'\nMARK\nGLOBAL 'torch._utils' '_rebuild_tensor_v2'\n\
         GLOBAL {class}\n{args}\n{state}\nTUPLE\nREDUCE"
    );
    zip(&dict(&[("w", value)]), &two())
}

#[test]
fn tensor_attributes_are_left_out_or_refused_if_they_set_elements() {
    let parameter = "'torch.nn.parameter' 'Parameter'";
    let note = typed(parameter, &dict(&[("note", floats("1", 4))]));
    assert_eq!(convert(&note, &usual()).unwrap().keys().collect::<Vec<_>>(), ["w"]);
    let left = left_out(&note, &usual());
    assert!(matches!(left.as_slice(), [(name, why)] if name == "w.note" && why.contains("attribute")), "{left:?}");
    for state in [dict(&[("data", floats("1", 4))]), format!("NONE\n{}\nTUPLE2", dict(&[("real", floats("1", 4))]))] {
        refused(&typed(parameter, &state), &usual(), &["changed after it was made"]);
    }
    never(&typed("'evil' 'Tensor'", "EMPTY_DICT"), &["w: it is reached through evil.Tensor"]);
}

#[test]
fn an_object_with_two_states_is_refused() {
    let state = |parameters: String| {
        dict(&[("_parameters", parameters), ("_buffers", "EMPTY_DICT".into()), ("_modules", "EMPTY_DICT".into())])
    };
    let made = "GLOBAL 'torch.nn.modules.linear' 'Linear'\nEMPTY_TUPLE\nNEWOBJ";
    let (first, second) = (state(dict(&[("w", floats("0", 4))])), state(dict(&[("b", floats("1", 4))])));
    assert_eq!(convert(&zip(&format!("{made}\n{first}\nBUILD"), &two()), &usual()).unwrap()["w"].2, numbers(0));
    let twice = zip(&format!("{made}\n{first}\nBUILD\n{second}\nBUILD"), &two());
    refused(&twice, &usual(), &["given a state twice"]);
}

#[test]
fn state_dict_attributes_are_reported_as_left_out() {
    let state = dict(&[("_metadata", "EMPTY_DICT".into()), ("more", floats("1", 4))]);
    let value = format!(
        "GLOBAL 'collections' 'OrderedDict'\nEMPTY_TUPLE\nREDUCE\n{}\n{}\nSETITEM\n{state}\nBUILD",
        text("w"),
        floats("0", 4)
    );
    let left = left_out(&zip(&value, &two()), &usual());
    assert!(matches!(left.as_slice(), [(name, why)] if name == "more" && why.contains("attribute")), "{left:?}");
}

#[test]
fn long_keys_are_kept_or_refused() {
    let long = "k".repeat(5000);
    let found = convert(&zip(&dict(&[(&long, floats("0", 4))]), &two()), &usual()).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&long]);
    let longer = "k".repeat(100_000);
    refused(&zip(&dict(&[(&longer, floats("0", 4))]), &two()), &usual(), &["longer than any name"]);
}

#[test]
fn names_of_left_out_values_are_bounded() {
    // 10,000 values below 200 keys of 1,000 bytes each.
    let key = text(&"k".repeat(1000));
    let mut value = format!("EMPTY_LIST\nMARK\nrepeat 10000 {{\n    NONE\n}}\n{}\nAPPENDS", floats("0", 4));
    for _ in 0..200 {
        value = format!("EMPTY_DICT\n{key}\n{value}\nSETITEM");
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("deep.pt");
    std::fs::write(&source, zip(&value, &two())).unwrap();
    let loaded = loader::open(&source, &usual()).unwrap();
    let bytes: usize = loaded.left_out.iter().map(|left| left.name.len()).sum();
    assert!(bytes <= 64 << 20 && loaded.left_out_more > 0, "{bytes} bytes of names");
}

/// The zip of one tensor of storage 0, and more entries.
fn with(more: &[Entry]) -> Vec<u8> {
    let mut all = entries(&dict(&[("w", floats("0", 4))]), &two());
    all.extend(more.to_vec());
    zip_of(&all)
}

#[test]
fn the_case_of_byteorder_is_ignored_as_in_torch() {
    let found = convert(&with(&[entry("ByteOrder", b"big")]), &usual()).unwrap();
    assert_eq!(found["w"].2[..4], [3, 2, 1, 0]);
    refused(&with(&[entry("byteorder", b"middle")]), &usual(), &["byteorder", "middle"]);
    never(
        &with(&[entry("byteorder", b"big"), entry("BYTEORDER", b"little")]),
        &["archive/BYTEORDER differ in case only"],
    );
}

#[test]
fn two_pickles_that_differ_in_case_are_refused() {
    let other = pickle(&dict(&[("v", floats("1", 4))]));
    never(&with(&[entry("DATA.PKL", &other)]), &["data.pkl and archive/DATA.PKL differ in case only"]);
}

#[test]
fn an_ambiguous_zip_is_never_converted() {
    never(&with(&[entry("data/0", &numbers(200))]), &["readers of its zip disagree", "archive/data/0"]);
    never(&with(&[entry("DATA/0", &numbers(200))]), &["archive/DATA/0 differ in case only"]);
    never(&with(&[Entry { shared: Some(1), ..entry("data/2", &[]) }]), &["archive/data/2 is named archive/data/0"]);
    never(&with(&[Entry { name: "other/data.pkl".into(), ..entry("", b"\x80\x02N.") }]), &["has 2"]);
}

#[test]
fn a_record_with_a_wrong_checksum_is_damaged() {
    let mut all = entries(&dict(&[("w", floats("0", 4))]), &two());
    all[1].crc32 = Some(77);
    let error = refused(&zip_of(&all), &usual(), &["archive/data/0 is damaged"]);
    assert!(matches!(error, loader::Error::Damaged { .. }) && !error.is_refusal());
    // torch has an option to write no checksums.
    all[1].crc32 = Some(0);
    assert_eq!(convert(&zip_of(&all), &usual()).unwrap()["w"].2, numbers(0));
}

/// A tar of one tensor `w` over storage 2.
fn tar_of(views: &[[i64; 4]], tensor: (&[i64], &[i64], i64)) -> Vec<u8> {
    let value = format!("EMPTY_DICT\n{}\nBINUNICODE '5'\nBINPERSID\nSETITEM", text("w"));
    checkpoint::tar(&value, &[(1, 4, numbers(0))], views, &[(5, 2, tensor.0, tensor.1, tensor.2)])
}

#[test]
fn views_in_a_tar_stay_inside_their_storage() {
    let one = (&[2][..], &[1][..], 0);
    assert_eq!(convert(&tar_of(&[[2, 1, 1, 2]], one), &usual()).unwrap()["w"].2, numbers(4)[..8]);
    // torch replaces storage 1 by its view before it reads storage 2.
    refused(&tar_of(&[[1, 1, 2, 2], [2, 1, 0, 2]], one), &usual(), &["w: storage 2 is a view of a view"]);
    refused(&tar_of(&[[2, 1, 3, 2]], one), &usual(), &["w: a view reaches out of storage 1"]);
    refused(&tar_of(&[[2, 1, i64::MAX, 2]], one), &usual(), &["w: a view reaches out of storage 1"]);
    refused(&tar_of(&[[2, 9, 0, 2]], one), &usual(), &["w: storage 2 is not there"]);
    refused(&tar_of(&[], one), &usual(), &["w: storage 2 is not there"]);
    refused(&tar_of(&[[2, 1, 1, 2]], (&[3], &[1], 0)), &usual(), &["w: its last element"]);
    refused(&tar_of(&[[2, 1, 1, 2]], (&[2], &[1], 1)), &usual(), &["w: its last element"]);
    refused(&tar_of(&[[2, 1, 1, 2]], (&[2, 2], &[i64::MAX, i64::MAX], 0)), &usual(), &["w: its size does not fit"]);
}

#[test]
fn a_tar_with_negative_numbers_is_refused() {
    for tensor in [(&[-2][..], &[1][..], 0), (&[2], &[-1], 0), (&[2], &[1], -1)] {
        let bytes = tar_of(&[[2, 1, 1, 2]], tensor);
        never(&bytes, &["its storages could not be found"]);
    }
    never(&tar_of(&[[2, 1, -1, 2]], (&[2], &[1], 0)), &["its storages could not be found"]);
}

#[test]
fn views_that_repeat_elements_are_bounded() {
    let half = |size: &[i64], stride: &[i64]| {
        let storage = checkpoint::storage("HalfStorage", "0", 8, "");
        zip(&dict(&[("w", checkpoint::tensor_of(&storage, 0, size, stride))]), &two())
    };
    let mut wider = usual();
    wider.plan.dtype = loader::Dtype::from_name("F32");
    for policy in [usual(), wider] {
        refused(&half(&[1 << 62], &[0]), &policy, &["views that repeat a few numbers"]);
        refused(&half(&[1 << 30], &[0]), &policy, &["views that repeat a few numbers"]);
        refused(&half(&[1 << 40, 1 << 40], &[0, 0]), &policy, &["w: its size does not fit in 64 bits"]);
    }
    assert_eq!(convert(&half(&[1000], &[0]), &usual()).unwrap()["w"].2.len(), 2000);
}

/// A joblib pickle of wrappers, each with an array of one byte behind its BUILD.
fn joblib(count: usize, state: &str) -> Vec<u8> {
    let wrapper = format!(
        "BINGET 0\nEMPTY_TUPLE\nNEWOBJ\nBINPUT 2\nEMPTY_DICT\nMARK\n{}\nBININT1 1\nTUPLE1\n{}\nBINGET 1\n{}\nNONE\nSETITEMS\nBUILD\nraw 07\n{state}",
        text("shape"),
        text("dtype"),
        text("numpy_array_alignment_bytes"),
    );
    let names = "GLOBAL 'joblib.numpy_pickle' 'NumpyArrayWrapper'\nBINPUT 0\nPOP\nGLOBAL 'numpy' 'dtype'\nSHORT_BINSTRING 'u1'\nNEWFALSE\nNEWTRUE\nTUPLE3\nREDUCE\nBINPUT 1\nPOP";
    pickle(&format!("{names}\nEMPTY_LIST\nMARK\nrepeat {count} {{\n{wrapper}\n}}\nAPPENDS"))
}

#[test]
fn many_arrays_between_opcodes_are_found_in_time() {
    let start = std::time::Instant::now();
    let found = convert(&joblib(50_000, ""), &lenient()).unwrap();
    assert!(found.len() == 50_000 && found["49999"].2 == [7]);
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn a_wrapper_with_two_arrays_is_refused() {
    let again = "BINGET 2\nEMPTY_DICT\nMARK\nBINUNICODE 'shape'\nBININT1 1\nTUPLE1\nBINUNICODE 'dtype'\nBINGET 1\nSETITEMS\nBUILD\nraw 09";
    refused(&joblib(1, again), &lenient(), &["changed after it was made"]);
}

#[test]
fn a_root_selects_tensors_in_formats_without_pickles() {
    let at = |root: &str| LoadOptions { root: Some(root.to_owned()), ..usual() };
    let header = r#"{"a.w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[1, 2]].concat();
    assert_eq!(convert(&bytes, &at("a")).unwrap().keys().collect::<Vec<_>>(), ["w"]);
    assert_eq!(convert(&bytes, &at("b")).unwrap().keys().collect::<Vec<_>>(), [loader::SINGLE_TENSOR_NAME]);
    refused(&bytes, &at("c"), &["c: there is nothing under this path"]);
    refused(
        &zip(&dict(&[("w", floats("0", 4))]), &two()),
        &at("v"),
        &["v: there is nothing under this path; there is w"],
    );
}

#[test]
fn a_safetensors_header_with_a_wrong_shape_is_refused_by_name() {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[1, 2, 3, 4]].concat();
    never(&bytes, &["a: its shape takes another number of bytes than the 4 of its place"]);
}
