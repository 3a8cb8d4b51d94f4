//! Second opinions of well-kept libraries on files that real libraries wrote: where they can read a file, so can we, and the same.

use scanner::Limits;
use scanner::internal::archive::ArchiveEntry;
use scanner::internal::archive::zip::ZipArchive;
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::pickle::trace::StreamEnd;
use scanner::internal::pickle::{self, Options};
use scanner::source::{Memory, SharedSource, read_vec};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/clean").join(folder);
    let wanted =
        |path: &Path| path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted));
    let all = walkdir::WalkDir::new(root).into_iter().filter_map(Result::ok).map(walkdir::DirEntry::into_path);
    all.filter(|path| wanted(path)).collect()
}

#[test]
fn the_zip_crate_finds_the_same_entries_with_the_same_bytes() {
    let budget = ScanBudget::start(Arc::new(Limits::default()));
    let mut compared = 0;
    for path in files(".", &["npz", "pt", "pth", "bin"]) {
        let bytes = std::fs::read(&path).expect("a fixture can be read");
        let Ok(mut theirs) = zip::ZipArchive::new(std::io::Cursor::new(bytes.clone())) else { continue };
        let source: SharedSource = Arc::new(Memory::new(bytes));
        let ours = ZipArchive::read(&source, &budget);
        assert_eq!(ours.entries.len(), theirs.len(), "{}", path.display());
        for (index, entry) in ours.entries.iter().enumerate() {
            let mut file = theirs.by_index(index).expect("the zip crate opens what it lists");
            let mut expected = Vec::new();
            file.read_to_end(&mut expected).expect("the zip crate reads what it lists");
            assert_eq!(Some(entry.name.as_str()), file.name().ok().as_deref());
            let content = entry.open(&budget).source.expect("we open what it opens");
            assert_eq!(
                read_vec(content.as_ref(), 0, expected.len() + 1).expect("it can be read"),
                expected,
                "{}",
                entry.name
            );
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} entries were compared");
}

#[test]
fn what_serde_pickle_decodes_we_follow_to_its_end() {
    let budget = ScanBudget::start(Arc::new(Limits::default()));
    let options = Options::PLAIN;
    let mut compared = 0;
    for path in files("stdlib", &["pkl", "pickle"]) {
        let bytes = std::fs::read(&path).expect("a fixture can be read");
        if serde_pickle::value_from_slice(&bytes, serde_pickle::DeOptions::new()).is_err() {
            continue;
        }
        let length = bytes.len() as u64;
        let source: SharedSource = Arc::new(Memory::new(bytes));
        let trace = pickle::read(&source, 0, &options, &budget, &mut |_, _| true);
        assert_eq!(trace.end, StreamEnd::Stop, "{}", path.display());
        assert_eq!(trace.length, length, "{}", path.display());
        assert!(trace.anomalies.is_empty(), "{}: {:?}", path.display(), trace.anomalies);
        compared += 1;
    }
    assert!(compared > 20, "{compared} pickles were compared");
}
