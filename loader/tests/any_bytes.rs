//! Fixtures and files of real libraries, mutated by a generator with a fixed seed: whatever the bytes, what the loader opens
//! was cleared and is whole. `MODELSCAN_TOTALITY_SEED` and `MODELSCAN_TOTALITY_CASES` make other and longer runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it breaks")]

#[path = "any_bytes/property.rs"]
mod property;

use fixtures::Corpus;
use fixtures::random::SplitMix64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// Longer seeds make the same mistakes, only later.
const LONGEST: usize = 32 << 10;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// What can hold tensors, in a stable order.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let corpus = Corpus::here();
    let fixtures = corpus.fixtures().unwrap().into_iter().map(|fixture| fixture.file);
    let wanted = |file: &String| ["tensor", "torch", "safetensors", "np", "joblib"].iter().any(|w| file.contains(w));
    let mut seeds: Vec<_> = fixtures.filter(wanted).map(|file| (file.clone(), corpus.build(&file).unwrap())).collect();
    let mut folders: Vec<PathBuf> =
        ["torch", "numpy", "safetensors"].map(|of| corpus.root().join("clean").join(of)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(corpus.root()).unwrap().to_string_lossy().into_owned();
                seeds.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    seeds.retain(|(_, bytes)| bytes.len() <= LONGEST);
    seeds.sort();
    seeds
}

/// Numbers at which lengths, offsets and counts tend to break.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// A few small changes: large ones end before a tensor is found.
fn mutate(random: &mut SplitMix64, seeds: &[(String, Vec<u8>)]) -> (String, Vec<u8>) {
    let (name, bytes) = &seeds[random.below(seeds.len())];
    let mut bytes = bytes.clone();
    for _ in 0..=random.below(2) {
        let at = random.below(bytes.len() + 1);
        let to = (at + random.below(16)).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.drain(at..to)),
            1 => {
                let part = bytes[at..to].to_vec();
                drop(bytes.splice(at..at, part));
            }
            2 => {
                let (edge, width) = (EDGES[random.below(EDGES.len())].to_le_bytes(), 1 << random.below(4));
                bytes.iter_mut().skip(at).zip(&edge[..width]).for_each(|(byte, new)| *byte = *new);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    (name.clone(), bytes)
}

#[test]
fn what_is_opened_was_cleared_and_is_whole() {
    let seeds = seeds();
    assert!(seeds.len() > 100, "only {} seeds", seeds.len());
    // Every result is synced, which disks take their time for.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("input.pt");
    let check = |name: &str, bytes: &[u8]| match catch_unwind(AssertUnwindSafe(|| property::check(&path, bytes))) {
        Ok(opened) => usize::from(opened),
        Err(_) => {
            let kept = std::env::temp_dir().join("modelscan-any-bytes-failure");
            std::fs::write(&kept, bytes).unwrap();
            panic!("{name}, {} bytes, kept in {}", bytes.len(), kept.display())
        }
    };
    let whole: usize = seeds.iter().map(|(name, bytes)| check(name, bytes)).sum();
    assert!(whole > 50, "{whole} of {} seeds are opened as they are", seeds.len());
    let mut random = SplitMix64::new(number("MODELSCAN_TOTALITY_SEED", 1));
    let cases = number("MODELSCAN_TOTALITY_CASES", 3_000);
    let opened: usize = (0..cases).map(|_| mutate(&mut random, &seeds)).map(|(name, bytes)| check(&name, &bytes)).sum();
    assert!(opened as u64 > cases / 20, "{opened} of {cases} are opened: the mutations are too coarse");
}
