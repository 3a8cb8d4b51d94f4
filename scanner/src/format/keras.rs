//! Keras models: a zip with a `config.json` that names, object by object, what the loader looks up and calls.
//!
//! Keras takes `class_name` and `module` from any depth of the configuration, so every object in it counts, whether or
//! not the model would use it. [`model_parts`] recognizes such a zip by its entries and gives some of them a role.
//! Names in the configuration are facts; rules know what they mean. The weights are HDF5, which is not read, so a model
//! with weights is never clean.

use super::readers::json_tokens::{self, JsonText, Token, WalkEnd};
use super::{Format, Head, Recognition};
use crate::archive::ArchiveEntry;
use crate::archive::zip::{ZipArchive, ZipEntry};
use crate::fact::{Deviation, Fact, Unread};
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::format::MAX_KERAS_NAME_BYTES;
use crate::io::budget::ScanBudget;
use crate::observe::format_info::{Container, FormatInfo, Library};
use crate::observe::observations::Observations;
use std::collections::HashSet;

/// A Keras model. It is recognized by the entries of a zip ([`model_parts`]), never by its first bytes.
pub struct KerasModel;

/// Keras models.
pub static INFO: FormatInfo = FormatInfo {
    id: "keras",
    name: "Keras model (zip)",
    extensions: &["keras"],
    promised_as: Some("a Keras model"),
    can_run_code: true,
    container: Container::Model,
    library: Library::Keras,
    doc_read: "every entry but HDF5 weights",
    doc_judged: "every class and function that the configuration names",
    is_provable: false,
    ..FormatInfo::DATA
};

impl Format for KerasModel {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn recognize(&self, _: &Head<'_>) -> Recognition {
        Recognition::No
    }

    fn examine(&self, _: &Artifact, _: &mut Observations) {}
}

/// The parts of a Keras model among the entries of a zip, by index; `None` where the zip is not a Keras model.
pub fn model_parts(archive: &ZipArchive, budget: &ScanBudget) -> Option<Vec<(usize, Role)>> {
    let entries = || archive.entries.iter().enumerate();
    let configs: Vec<(usize, &ZipEntry)> = entries().filter(|(_, entry)| is(entry, "config.json")).collect();
    let weights = || entries().any(|(_, entry)| is(entry, "model.weights.h5") || is(entry, "model.weights.npz"));
    if configs.is_empty() || !(weights() || configs.iter().any(|(_, entry)| may_name(entry, budget))) {
        return None;
    }
    let mut parts: Vec<(usize, Role)> = configs.into_iter().map(|(index, _)| (index, Role::KerasConfig)).collect();
    let hdf5 = |entry: &ZipEntry| names(entry).any(|name| ends(name, ".h5") || ends(name, ".hdf5"));
    parts.extend(entries().filter(|(_, entry)| hdf5(entry)).map(|(index, _)| (index, Role::KerasWeights)));
    Some(parts)
}

/// Both names of an entry, as they end for a reader that stops at a NUL.
fn names(entry: &ZipEntry) -> impl Iterator<Item = &str> {
    let names = [Some(entry.name.as_str()), entry.local_name.as_deref()].into_iter().flatten();
    names.map(|name| name.split('\0').next().unwrap_or_default())
}

fn is(entry: &ZipEntry, expected: &str) -> bool {
    names(entry).any(|name| name.eq_ignore_ascii_case(expected))
}

fn ends(name: &str, ending: &str) -> bool {
    name.len()
        .checked_sub(ending.len())
        .and_then(|at| name.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(ending))
}

/// Whether a configuration names a class, or cannot be read to its end. Python rejects broken JSON too, so that is not
/// a configuration.
fn may_name(entry: &ZipEntry, budget: &ScanBudget) -> bool {
    let Some(source) = entry.open(budget).source else { return false };
    let walked = json_tokens::walk(
        source.as_ref(),
        budget,
        &mut |_, event| !matches!(event, Token::Key(key) if key.is("class_name")),
    );
    !matches!(walked, Ok(()) | Err(WalkEnd::Broken(..)))
}

/// The weights of a Keras model.
pub struct KerasWeights;

/// The weights of a Keras model.
pub static WEIGHTS: FormatInfo = FormatInfo {
    id: "keras-weights",
    name: "weights of a Keras model (HDF5 in a Keras zip)",
    extensions: &["h5"],
    library: Library::Keras,
    doc_read: "no",
    doc_judged: "no",
    is_provable: false,
    ..FormatInfo::DATA
};

impl Format for KerasWeights {
    fn info(&self) -> &'static FormatInfo {
        &WEIGHTS
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        if head.artifact.role == Role::KerasWeights { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, _: &Artifact, observations: &mut Observations) {
        let why = "HDF5 is not looked into: it may refer to other files, by links and by data that stand elsewhere";
        observations.unread(None, Unread::Unsupported(why.to_owned()));
    }
}

/// The configuration of a Keras model, in the model or for itself (`Model.to_json`, an unpacked model).
pub struct KerasConfig;

/// The configuration of a Keras model.
pub static CONFIG: FormatInfo = FormatInfo {
    id: "keras-config",
    name: "configuration of a Keras model (JSON)",
    extensions: &["json"],
    library: Library::Keras,
    doc_judged: "every class and function it names, paths and addresses",
    ..FormatInfo::DATA
};

impl Format for KerasConfig {
    fn info(&self) -> &'static FormatInfo {
        &CONFIG
    }

    fn recognize(&self, head: &Head<'_>) -> Recognition {
        let has = |key: &[u8]| head.start.windows(key.len()).any(|window| window == key);
        let found = match head.artifact.role {
            Role::KerasConfig => true,
            Role::Unknown => {
                head.start.trim_ascii_start().starts_with(b"{")
                    && has(b"\"class_name\"")
                    && has(b"\"config\"")
                    && has(b"\"module\"")
            }
            _ => false,
        };
        if found { Recognition::Certain } else { Recognition::No }
    }

    fn examine(&self, artifact: &Artifact, observations: &mut Observations) {
        let limits = &artifact.budget.limits;
        let max = (limits.names, limits.findings);
        let mut names =
            NameCollector { observations, open: Vec::new(), reported: HashSet::new(), bytes: 0, anomalies: 0, max };
        let walked =
            json_tokens::walk(artifact.source.as_ref(), &artifact.budget, &mut |at, event| names.on_token(at, event));
        let violation = |what: &str, deviation| Fact::StructureViolation { what: what.to_owned(), deviation };
        match walked {
            Ok(()) => {}
            Err(WalkEnd::Broken(at, why)) => {
                observations.unread(at, Unread::Broken(format!("the configuration is no JSON: {why}")));
            }
            Err(WalkEnd::Encoding) => {
                let what = "the configuration is UTF-16 or UTF-32, which Keras reads and other readers do not";
                observations.fact(None, violation(what, Deviation::Misleading));
                observations.unread(None, Unread::Unsupported("JSON in UTF-16 or UTF-32".to_owned()));
            }
            Err(WalkEnd::Unread(Unread::Io(why))) => observations.unread(None, Unread::Io(why)),
            Err(why) => {
                let what = "the configuration is longer or deeper, or names more, than any that Keras writes";
                observations.fact(None, violation(what, Deviation::Wrong));
                let names = || Unread::Limit("names in a configuration".to_owned());
                observations.unread(None, if let WalkEnd::Unread(why) = why { why } else { names() });
            }
        }
    }
}

/// Keys that Keras goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Class,
    Module,
    Registered,
    Config,
    Spec,
}

const FIELDS: [(&str, Field); 5] = [
    ("class_name", Field::Class),
    ("module", Field::Module),
    ("registered_name", Field::Registered),
    ("config", Field::Config),
    ("spec_name", Field::Spec),
];

/// Keys whose text is a path or an address that a loader opens: the vocabulary of lookups, and arguments of harmful
/// functions.
const PATHS: [&str; 9] =
    ["vocabulary", "idf_weights", "filepath", "file_path", "filename", "path", "origin", "url", "directory"];

/// The value of a key.
#[derive(Debug, Default)]
enum FieldValue {
    #[default]
    Absent,
    Text(JsonText),
    Other,
}

impl FieldValue {
    /// A text that is not empty.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.start.is_empty() => Some(&text.start),
            _ => None,
        }
    }
}

/// An object that is still open.
#[derive(Default)]
struct Object {
    at: u64,
    /// The key read last.
    key: Option<JsonText>,
    fields: [FieldValue; FIELDS.len()],
}

impl Object {
    fn value(&self, field: Field) -> &FieldValue {
        let index = FIELDS.iter().position(|(_, known)| *known == field);
        index.and_then(|index| self.fields.get(index)).unwrap_or(&FieldValue::Absent)
    }
}

/// Collects the names.
struct NameCollector<'a> {
    observations: &'a mut Observations,
    /// What is open: objects, and arrays as `None`.
    open: Vec<Option<Box<Object>>>,
    reported: HashSet<(Option<String>, String, Option<String>)>,
    /// Their bytes.
    bytes: usize,
    /// Facts beside the names.
    anomalies: usize,
    /// How many names and how many other facts are kept.
    max: (usize, usize),
}

impl NameCollector<'_> {
    fn on_token(&mut self, at: u64, event: Token) -> bool {
        match event {
            Token::Object => {
                self.value(at, FieldValue::Other);
                self.open.push(Some(Box::new(Object { at, ..Object::default() })));
            }
            Token::Array => {
                self.value(at, FieldValue::Other);
                self.open.push(None);
            }
            Token::Key(key) => {
                if let Some(Some(object)) = self.open.last_mut() {
                    object.key = Some(key);
                }
            }
            Token::Text(text) => self.value(at, FieldValue::Text(text)),
            Token::Word => self.value(at, FieldValue::Other),
            Token::End => {
                if let Some(Some(object)) = self.open.pop() {
                    self.object(&object);
                }
            }
        }
        self.reported.len() <= self.max.0 && self.bytes <= MAX_KERAS_NAME_BYTES
    }

    /// At most as many as reports show. One of them is enough for a model not to be clean.
    fn add_anomaly(&mut self, at: u64, fact: Fact) {
        if self.anomalies < self.max.1 {
            self.anomalies += 1;
            self.observations.fact(at, fact);
        }
    }

    /// Adds a value to the last key, inside an object.
    fn value(&mut self, at: u64, value: FieldValue) {
        let Some(Some(object)) = self.open.last_mut() else { return };
        let Some(key) = object.key.take() else { return };
        let refers = value.text().filter(|text| PATHS.iter().any(|path| key.is(path)) || text.contains("://"));
        let target = refers.map(str::to_owned);
        let field = FIELDS.iter().position(|(name, _)| key.is(name)).and_then(|index| object.fields.get_mut(index));
        let twice = field.is_some_and(|field| !matches!(std::mem::replace(field, value), FieldValue::Absent));
        if let Some(target) = target {
            let what = format!("the configuration refers to a file or an address by its {}", key.start);
            self.add_anomaly(at, Fact::ExternalReference { target, what });
        }
        if twice {
            let what =
                format!("the key {} stands twice in one object: Keras takes the last, others the first", key.start);
            self.add_anomaly(at, Fact::StructureViolation { what, deviation: Deviation::Misleading });
        }
    }

    /// States the name in a complete object, as Keras 2 and 3 look it up.
    fn object(&mut self, object: &Object) {
        let class = match object.value(Field::Class) {
            FieldValue::Absent => return,
            class => class.text(),
        };
        let named = match class {
            Some("function") => object.value(Field::Config),
            Some("__typespec__") => object.value(Field::Spec),
            _ => object.value(Field::Class),
        };
        let Some(name) = named.text() else {
            let what = "an object whose class or function has no name".to_owned();
            return self.add_anomaly(object.at, Fact::StructureViolation { what, deviation: Deviation::Wrong });
        };
        let of = |field| object.value(field).text().map(str::to_owned);
        let (module, registered) = (of(Field::Module), of(Field::Registered));
        let name_key = (module, name.to_owned(), registered);
        if self.reported.insert(name_key.clone()) {
            let (module, name, registered) = name_key;
            let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            self.bytes += name.len() + length(&module) + length(&registered);
            self.observations.fact(object.at, Fact::Configured { module, name, registered });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::limits::Limits;
    use crate::io::member_path::MemberPath;
    use crate::io::source::Memory;
    use std::sync::Arc;

    fn looked_at(text: &[u8]) -> Observations {
        let budget = ScanBudget::start(Arc::new(Limits::default()));
        let (member_path, source) = (MemberPath::root(), Arc::new(Memory::new(text)));
        let role = Role::KerasConfig;
        let artifact = Artifact { member_path, name: "config.json".into(), source, depth: 1, role, budget };
        let mut observations = Observations::default();
        KerasConfig.examine(&artifact, &mut observations);
        observations
    }

    fn named(text: &str) -> Vec<(Option<String>, String)> {
        let facts = looked_at(text.as_bytes()).facts.into_iter();
        facts
            .filter_map(|(_, fact)| match fact {
                Fact::Configured { module, name, .. } => Some((module, name)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn objects_are_found_at_every_depth_and_under_every_key() {
        let text = r#"[{"class_name": "A", "module": "m", "config": {"x": [[{"y": {"class_\u006eame": "B"}}]]}, "module": null}]"#;
        assert_eq!(named(text), [(None, "B".to_owned()), (None, "A".to_owned())]);
        let misled =
            looked_at(text.as_bytes()).facts.iter().any(|(_, fact)| matches!(fact, Fact::StructureViolation { .. }));
        assert!(misled, "a key stands twice");
    }

    #[test]
    fn functions_and_types_are_called_by_their_own_names() {
        assert_eq!(
            named(
                r#"{"a": {"module": "os", "class_name": "function", "config": "system"}, "b": {"class_name": "__typespec__", "module": "n", "spec_name": "s", "config": []}}"#
            ),
            [(Some("os".to_owned()), "system".to_owned()), (Some("n".to_owned()), "s".to_owned())]
        );
        let nameless = looked_at(br#"{"class_name": "function", "config": {}}"#);
        assert!(matches!(nameless.facts[..], [(Some(0), Fact::StructureViolation { .. })]));
    }

    #[test]
    fn what_stands_before_a_break_counts() {
        let observations = looked_at(br#"{"a": {"class_name": "Lambda"}, ..."#);
        assert!(matches!(observations.facts[..], [(_, Fact::Configured { .. })]) && observations.unread.len() == 1);
    }

    #[test]
    fn paths_and_addresses_are_references_and_lists_are_not() {
        let references = |text: &str| {
            let facts = looked_at(text.as_bytes()).facts;
            facts.iter().filter(|(_, fact)| matches!(fact, Fact::ExternalReference { .. })).count()
        };
        assert_eq!(references(r#"{"vocabulary": "/etc/passwd", "a": "gs://b/c"}"#), 2);
        assert_eq!(references(r#"{"vocabulary": ["http://a", "b"], "a": "block/conv", "path": ""}"#), 0);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_beyond_is_unread() {
        let references = r#"{"url": "a"},"#.repeat(5_000);
        let observations = looked_at(format!("[{references}{{\"class_name\": \"Lambda\"}}]").as_bytes());
        assert_eq!(observations.facts.len(), 1_001);
        let many: String = (0..30_000).map(|number| format!(r#"{{"class_name": "a{number}"}},"#)).collect();
        let observations = looked_at(format!("[{many}1]").as_bytes());
        assert!(observations.facts.len() < 20_010 && matches!(observations.unread[..], [(None, Unread::Limit(_))]));
    }

    #[test]
    fn what_cannot_be_followed_is_unread() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(20_000), "}".repeat(20_000));
        for text in [deep.as_bytes(), b"{\0}\0", b""] {
            assert!(!looked_at(text).unread.is_empty());
        }
    }
}
