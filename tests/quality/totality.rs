//! For any bytes the scanner answers in bounded time and memory, and always the same.
//!
//! The bytes are fixtures and files of real libraries, mutated by a generator with a fixed seed, beside plain noise and
//! streams that ask for as much memory as their length can buy. `MODELSCAN_TOTALITY_SEED` and
//! `MODELSCAN_TOTALITY_CASES` make other and longer runs.

use fixtures::Corpus;
use fixtures::random::SplitMix64;
use scanner::Limits;
use scanner::internal::examine::examine;
use scanner::internal::io::budget::ScanBudget;
use scanner::internal::judge::verdict::judge_artifact;
use scanner::internal::observe::observations::Retain;
use scanner::source::Memory;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer seeds make the same mistakes, only later.
const LONGEST: usize = 32 << 10;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Every fixture, and every small file that a real library wrote, in a stable order.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let corpus = Corpus::here();
    let fixtures = corpus.fixtures().unwrap().into_iter().map(|fixture| {
        let bytes = corpus.build(&fixture.file).unwrap_or_else(|error| panic!("{}: {error}", fixture.file));
        (fixture.file, bytes)
    });
    let mut seeds: Vec<_> = fixtures.collect();
    let mut folders = vec![corpus.root().join("clean")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(corpus.root()).unwrap().to_string_lossy().into_owned();
                seeds.push((name, fs::read(path).unwrap()));
            }
        }
    }
    seeds.retain(|(_, bytes)| bytes.len() <= LONGEST);
    seeds.sort();
    seeds
}

/// Numbers at which lengths, offsets and counts tend to break.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

/// One to eight changes of one kind each, at random places.
fn mutate(random: &mut SplitMix64, seeds: &[(String, Vec<u8>)]) -> (String, Vec<u8>) {
    let (name, bytes) = random.pick(seeds);
    let mut bytes = bytes.clone();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        let to = (at + random.below(64)).min(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let part = bytes[at..to].to_vec();
                let times = random.below(20);
                drop(bytes.splice(at..at, part.repeat(times)));
            }
            3 => {
                let (_, other) = random.pick(seeds);
                let from = random.below(other.len() + 1);
                let until = (from + random.below(2000)).min(other.len());
                drop(bytes.splice(at..to, other[from..until].iter().copied()));
            }
            4 => {
                let edge = random.pick(&EDGES);
                let width = 1 << random.below(4);
                let raw = if random.below(8) == 0 { edge.swap_bytes() } else { *edge }.to_le_bytes();
                bytes.iter_mut().skip(at).zip(&raw[..width]).for_each(|(byte, new)| *byte = *new);
            }
            5 => {
                let length = random.below(32);
                let noise = random.bytes(length);
                drop(bytes.splice(at..to, noise));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes.truncate(4 * LONGEST);
    (name.clone(), bytes)
}

/// Low enough that an input of some kilobytes reaches each of them. No clock: it would make answers differ.
fn low() -> Limits {
    Limits {
        opcodes: 200_000,
        stack: 2_000,
        marks: 500,
        memo_bytes: 64 << 10,
        heap_bytes: 256 << 10,
        items: 32,
        names: 100,
        name_bytes: 256,
        events: 100,
        streams: 20,
        resync_bytes: 64 << 10,
        depth: 3,
        entries: 100,
        members: 200,
        member_bytes: 1 << 20,
        unpacked_bytes: 4 << 20,
        ratio_floor: 64 << 10,
        member_memory: 16 << 10,
        decoder_memory: 8 << 20,
        header_bytes: 64 << 10,
        findings: 20,
        time: Duration::from_secs(100_000),
        ..Limits::default()
    }
}

/// Scans the bytes twice and checks all that must hold of the answers.
fn check(name: &str, bytes: &[u8], limits: &Arc<Limits>) {
    let answer = || {
        let examination =
            examine(Arc::new(Memory::new(bytes)), name, &ScanBudget::start(limits.clone()), Retain::default());
        judge_artifact(&examination, name, limits)
    };
    let start = Instant::now();
    let report = answer();
    let took = start.elapsed();
    let shown = || {
        let path = std::env::temp_dir().join("modelscan-totality-failure");
        fs::write(&path, bytes).unwrap();
        format!("{name}, {} bytes, kept in {}", bytes.len(), path.display())
    };
    assert!(took < Duration::from_secs(10), "{took:?}: {}", shown());
    let failed = report.not_read.iter().any(|one| one.reason.contains("the scanner itself failed"));
    assert!(!failed, "a panic: {}", shown());
    for finding in &report.findings {
        let same = report.findings.iter().filter(|other| other.rule == finding.rule).count();
        assert!(same <= limits.findings + 1, "{same} findings of {}: {}", finding.rule, shown());
    }
    let text = |report| serde_json::to_string(report).unwrap();
    assert_eq!(text(&report), text(&answer()), "two answers: {}", shown());
}

#[test]
fn every_input_is_answered_within_bounds_and_twice_the_same() {
    let seeds = seeds();
    assert!(seeds.len() > 300, "only {} seeds", seeds.len());
    let limits = Arc::new(low());
    let mut random = SplitMix64::new(number("MODELSCAN_TOTALITY_SEED", 1));
    for case in 0..number("MODELSCAN_TOTALITY_CASES", 2_500) {
        if case % 10 == 0 {
            let length = random.below(4096);
            check("noise", &random.bytes(length), &limits);
        } else {
            let (name, bytes) = mutate(&mut random, &seeds);
            check(&name, &bytes, &limits);
        }
    }
}

/// A folder for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("modelscan-totality-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn scan(folder: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
    command.args(["scan", "--format", "json"]).args(flags).arg(folder).output().unwrap()
}

#[test]
fn one_thread_and_four_write_the_same_report() {
    let seeds = seeds();
    let folder = Folder::new("threads");
    let mut random = SplitMix64::new(number("MODELSCAN_TOTALITY_SEED", 2));
    for case in 0..400 {
        let (name, bytes) = mutate(&mut random, &seeds);
        let name = name.replace('/', "-");
        fs::write(folder.0.join(format!("{case:03}-{name}")), bytes).unwrap();
    }
    // Limits that many of these reach: the order of threads must not decide what is cut off.
    let low =
        ["--limit-members", "40", "--limit-unpacked-bytes", "200KB", "--limit-depth", "3", "--limit-findings", "5"];
    for limits in [&low[..], &[]] {
        let [one, four] = ["1", "4"].map(|jobs| scan(&folder.0, &[&["--jobs", jobs], limits].concat()));
        assert_eq!(one.status.code(), Some(1), "{}", String::from_utf8_lossy(&one.stderr));
        assert_eq!(four.status.code(), Some(1), "{}", String::from_utf8_lossy(&four.stderr));
        let [one, four] = [one, four].map(|output| String::from_utf8(output.stdout).unwrap());
        assert!(one == four, "{}", first_difference(&one, &four));
        assert!(!one.contains("the scanner itself failed"));
        let report: serde_json::Value = serde_json::from_str(&one).unwrap();
        assert_eq!(report["artifacts"].as_array().unwrap().len(), 400);
    }
}

fn first_difference(one: &str, other: &str) -> String {
    let at = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| text.chars().skip(at.saturating_sub(300)).take(500).collect::<String>();
    format!("at {at}:\n{}\n{}", around(one), around(other))
}

/// Streams of a few megabytes that make an unpickler keep as much as they can.
fn hungry() -> Vec<(&'static str, Vec<u8>)> {
    let size = 6 << 20;
    let fill = |part: &[u8]| part.repeat(size / part.len());
    let counted = |part: &dyn Fn(usize) -> String, count: usize| {
        let mut text = String::new();
        (0..count).for_each(|i| write!(text, "{}", part(i)).unwrap());
        text.into_bytes()
    };
    vec![
        ("marks", fill(b"(")),
        ("ints", fill(b"K\x01")),
        ("lists", fill(b"]")),
        ("memoized-lists", fill(b"]\x94")),
        ("nested-tuples", fill(b"\x85")),
        ("nested-lists", [&b"]"[..], &fill(b"]\x94a")].concat()),
        ("duplicates", [&b"]"[..], &fill(b"2")].concat()),
        ("texts", fill(b"\x8c\x0aabcdefghij\x94")),
        ("sparse-memo", counted(&|i| format!("Np{}\n", i * 7_919), 500_000)),
        ("names", counted(&|i| format!("cm{i}\nn{i}\n0"), 400_000)),
        ("same-name", fill(b"cos\nsystem\n0")),
        ("calls", [&b"cos\nsystem\nq\x00"[..], &fill(b"h\x00)R0")].concat()),
        ("kept-calls", [&b"cos\nsystem\nq\x00"[..], &fill(b"h\x00)R\x94")].concat()),
        ("call-of-call", [&b"cos\nsystem\n"[..], &fill(b")R")].concat()),
        ("builds", [&b"cos\nsystem\n)R"[..], &fill(b"}b")].concat()),
        ("streams", fill(b"\x80\x04N.")),
        ("streams-with-names", counted(&|i| format!("cm{i}\nn{i}\n."), 300_000)),
        ("persistent-ids", counted(&|i| format!("Pid{i}\n0"), 500_000)),
        ("literals", fill(b"C\x0a\x80\x04cos\nx\n.\x94")),
        ("long-name", [&b"c"[..], &vec![b'a'; size], b"\nb\n."].concat()),
        ("long-text", [&b"\x8d"[..], &(size as u64).to_le_bytes(), &vec![b'a'; size], b"."].concat()),
        ("zip-ends", fill(b"PK\x05\x06")),
        (
            "zip-locals",
            [&b"PK\x03\x04"[..], &fill(b"PK\x03\x04\x14\0\0\0\0\0aaaabbbb\0\0\0\0\0\0\0\0\x01\0\0\0x")].concat(),
        ),
        ("gzips", fill(b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0")),
    ]
}

/// The promised bound of memory, in KiB.
#[cfg(target_os = "linux")]
const MEMORY: u64 = 150 << 10;

#[test]
#[cfg(target_os = "linux")]
fn no_input_takes_more_memory_than_promised() {
    let folder = Folder::new("memory");
    let failures: Vec<String> = hungry()
        .into_iter()
        .filter_map(|(name, bytes)| {
            let path = folder.0.join(name);
            fs::write(&path, bytes).unwrap();
            // The kernel refuses what goes past the limit, and the command aborts.
            let output = Command::new("sh")
                .args(["-c", "ulimit -d $0 && exec \"$@\"", &MEMORY.to_string(), env!("CARGO_BIN_EXE_modelscan")])
                .args(["scan", "--format", "json", "--jobs", "1"])
                .arg(&path)
                .output()
                .unwrap();
            fs::remove_file(&path).unwrap();
            let printed = String::from_utf8_lossy(&output.stdout);
            match serde_json::from_str::<serde_json::Value>(&printed) {
                Ok(report) if report["artifacts"].as_array().is_some_and(|artifacts| artifacts.len() == 1) => {
                    printed.contains("the scanner itself failed").then(|| format!("{name}: a panic"))
                }
                _ => Some(format!("{name}: {}, {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end())),
            }
        })
        .collect();
    assert!(failures.is_empty(), "within {MEMORY} KiB:\n{}", failures.join("\n"));
}
