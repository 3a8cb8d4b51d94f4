//! Agreement with CPython: every name that any unpickler on this machine asks for, on thousands of generated streams and on all
//! fixtures, must be among the imports that the scanner reports. A fixed seed here; the long run is
//! `MODELSCAN_AGREEMENT_STREAMS=1000000 MODELSCAN_AGREEMENT_SEED=7 cargo test --release --test python agreement -- --nocapture`.

mod generator;
mod opcodes;
mod oracle;
mod ours;
mod random;
mod soup;
mod table;
mod wellformed;

use fixtures::Need;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

/// So many at a time: what a batch needs stays small in a long run.
const BATCH: usize = 5000;
/// So many misses are printed in full, unless MODELSCAN_AGREEMENT_SHOW says otherwise.
const SHOWN: u64 = 10;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A folder for this test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("modelscan-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The assembled fixtures, then generated streams.
fn streams(seed: u64, from: u64, count: usize) -> Vec<Vec<u8>> {
    (from..).take(count).map(|index| generator::stream(seed, index)).collect()
}

fn fixture_streams() -> Vec<Vec<u8>> {
    let corpus = fixtures::Corpus::here();
    let rows = corpus.fixtures().expect("the manifest can be read");
    let pickles = rows.iter().filter(|row| row.file.ends_with(".pkt"));
    // the large ones are about limits, and slow under nine interpreters
    pickles
        .map(|row| corpus.build(&row.file).unwrap_or_else(|error| panic!("{error}")))
        .filter(|stream| stream.len() < 1 << 16)
        .collect()
}

/// One name that the scanner does not report.
struct Miss {
    python: String,
    reader: String,
    name: oracle::Name,
    stream: Vec<u8>,
    /// How the scanner's readings end.
    ends: String,
}

impl Miss {
    fn print(&self) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let hex: String = self.stream.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!(
            "CPython {} ({}) asks for {:?} {:?}, which is not reported ({})\n{hex}\n{}",
            self.python,
            self.reader,
            text(&self.name.0),
            text(&self.name.1),
            self.ends,
            fixtures::listing(&self.stream)
        );
    }
}

/// Compares one batch under every interpreter; adds to `misses`, returns how many names were compared.
fn compare(streams: &[Vec<u8>], pythons: &[(String, PathBuf)], folder: &Folder, misses: &mut Vec<Miss>) -> usize {
    let batch = folder.0.join("batch");
    oracle::write_batch(&batch, streams).expect("the batch can be written");
    let ours: Vec<ours::Imports> = streams.iter().map(|stream| ours::imports(stream)).collect();
    let mut compared = 0;
    let answers = std::thread::scope(|scope| {
        let jobs: Vec<_> = pythons
            .iter()
            .map(|(version, python)| {
                let answers = folder.0.join(format!("answers-{version}"));
                let batch = &batch;
                (version, scope.spawn(move || oracle::record(python, batch, &answers, streams.len())))
            })
            .collect();
        jobs.into_iter()
            .map(|(version, job)| (version, job.join().expect("the recorder's thread ends")))
            .collect::<Vec<_>>()
    });
    for (version, answer) in answers {
        let answer = answer.unwrap_or_else(|error| panic!("the recorder failed under CPython {version}: {error}"));
        for (stream, names) in &answer.names {
            for (name, reader) in names {
                compared += 1;
                // From a file with peek each frame has a reading of its own (NOTES.md, 3). The scanner follows "all transparent"
                // and "all lossy", and calls every straddled frame a disagreement, which is never clean.
                let mixed = reader.starts_with("c-buffered") && ours[*stream].straddled;
                if !mixed && !ours[*stream].covers(name) {
                    let ends = ours[*stream].ends.join("; ");
                    let stream = streams[*stream].clone();
                    misses.push(Miss {
                        python: version.clone(),
                        reader: reader.clone(),
                        name: name.clone(),
                        stream,
                        ends,
                    });
                }
            }
        }
        if !answer.killed.is_empty() {
            eprintln!("CPython {version}: {} streams ended its process by time or memory", answer.killed.len());
        }
        assert!(
            !oracle::distinct(&answer).is_empty(),
            "CPython {version} asked for no name at all: the recorder is broken"
        );
    }
    compared
}

#[test]
fn every_name_that_cpython_asks_for_is_reported() {
    let pythons = oracle::interpreters();
    if pythons.is_empty() {
        fixtures::skip(Need::Python, "no CPython: neither pyenv nor python3 on the PATH");
        return;
    }
    let seed = setting("MODELSCAN_AGREEMENT_SEED", 20_240_229);
    let count = usize::try_from(setting("MODELSCAN_AGREEMENT_STREAMS", 3000)).expect("a count fits");
    let folder = Folder::new("agreement");
    let mut misses = Vec::new();
    let mut compared = compare(&fixture_streams(), &pythons, &folder, &mut misses);
    let mut done = 0;
    while done < count {
        let batch = streams(seed, done as u64, BATCH.min(count - done));
        compared += compare(&batch, &pythons, &folder, &mut misses);
        done += batch.len();
    }
    let versions: Vec<&str> = pythons.iter().map(|(version, _)| version.as_str()).collect();
    eprintln!("{count} streams of seed {seed}, {compared} names compared with CPython {}", versions.join(", "));
    misses.sort_by_key(|miss| miss.stream.len());
    misses.dedup_by(|one, other| one.stream == other.stream);
    let shown = usize::try_from(setting("MODELSCAN_AGREEMENT_SHOW", SHOWN)).expect("a count fits");
    misses.iter().take(shown).for_each(Miss::print);
    assert!(misses.is_empty(), "{} streams with names that the scanner does not report", misses.len());
}

#[test]
fn generated_streams_survive_being_listed_and_assembled() {
    for index in 0..2000 {
        let stream = generator::stream(1, index);
        let text = fixtures::listing(&stream);
        assert_eq!(fixtures::assemble(&text).as_deref(), Ok(stream.as_slice()), "{text}");
    }
}

#[test]
fn the_opcode_table_is_that_of_pickletools() {
    let pythons = oracle::interpreters();
    if pythons.is_empty() {
        fixtures::skip(Need::Python, "no CPython: neither pyenv nor python3 on the PATH");
    }
    for (version, python) in &pythons {
        assert_eq!(table::differences(python), Ok(Vec::new()), "CPython {version}");
    }
}

/// The names in one line of `inspect`, from all pickles of the file.
fn inspected(line: &str) -> Option<(PathBuf, Vec<(String, String)>)> {
    let report: serde_json::Value = serde_json::from_str(line).ok()?;
    let imports = report["pickles"].as_array()?.iter().filter_map(|pickle| pickle["imports"].as_array()).flatten();
    let names =
        imports.filter_map(|import| Some((import["module"].as_str()?.to_owned(), import["name"].as_str()?.to_owned())));
    Some((PathBuf::from(report["path"].as_str()?), names.collect()))
}

#[test]
fn the_command_reports_the_names_of_every_fixture() {
    let pythons = oracle::interpreters();
    if pythons.is_empty() {
        fixtures::skip(Need::Python, "no CPython: neither pyenv nor python3 on the PATH");
        return;
    }
    let streams = fixture_streams();
    let folder = Folder::new("inspect");
    let batch = folder.0.join("batch");
    oracle::write_batch(&batch, &streams).expect("the batch can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
    command.args(["inspect", "--format", "json"]);
    let paths: Vec<PathBuf> = (0..streams.len()).map(|number| folder.0.join(format!("{number}.pkl"))).collect();
    for (path, stream) in paths.iter().zip(&streams) {
        std::fs::write(path, stream).expect("a stream can be written");
        command.arg(path);
    }
    let output = command.output().expect("the command runs");
    let text = String::from_utf8(output.stdout).expect("JSON is utf-8");
    let reported: HashMap<PathBuf, Vec<(String, String)>> = text.lines().filter_map(inspected).collect();
    let mut misses = Vec::new();
    for (version, python) in &pythons {
        let answers = oracle::record(python, &batch, &folder.0.join(version), streams.len());
        let answers = answers.unwrap_or_else(|error| panic!("the recorder failed under CPython {version}: {error}"));
        for (stream, names) in &answers.names {
            let path = &paths[*stream];
            for name in names.keys() {
                // the other test compares names that are not text, with their readings
                let (Ok(module), Ok(attribute)) = (str::from_utf8(&name.0), str::from_utf8(&name.1)) else { continue };
                let found =
                    reported.get(path).is_some_and(|names| names.iter().any(|(m, n)| m == module && n == attribute));
                if !found {
                    misses.push(format!(
                        "CPython {version} asks for {module:?} {attribute:?} in\n{}",
                        fixtures::listing(&streams[*stream])
                    ));
                }
            }
        }
    }
    assert!(!reported.is_empty(), "inspect reported nothing: {}", String::from_utf8_lossy(&output.stderr));
    misses.sort_unstable_by_key(String::len);
    assert!(
        misses.is_empty(),
        "{} names not reported by inspect:\n{}",
        misses.len(),
        misses.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
}
