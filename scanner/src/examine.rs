//! From the bytes of a file to everything that is to be seen in it: a worklist, no recursion, wave by wave in parallel.
//!
//! Each wave looks at all artifacts that the wave before it found. What a wave yields is put together in order, and the
//! budgets of the file are counted there, so that one thread or many come to the same result.

use crate::archive::Opened;
use crate::format::all::FORMATS;
use crate::format::{Format, Head, Recognition};
use crate::io::artifact::{Artifact, Role, Watch};
use crate::io::member_path::Chain;
use crate::io::source::{SharedSource, gathered, read_vec};
use crate::judge::rule::calls::Calls;
use crate::observe::fact::{Fact, Unread, Weight};
use crate::observe::layout::Layout;
use crate::observe::observations::{Content, Heard, Keep, Member, NUMBERS, Seen, Tensor};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Artifacts up to this size are read in one piece.
const GATHERED: usize = 2 << 20;

/// What one artifact turned out to be.
pub struct Looked {
    /// Where it stands.
    pub chain: Chain,
    /// Its size.
    pub size: u64,
    /// Its format, if any claims it.
    pub format: Option<&'static str>,
    /// Facts.
    pub facts: Vec<(Option<u64>, Fact)>,
    /// What was not read.
    pub unread: Vec<(Option<u64>, Unread)>,
    /// Pickle streams.
    pub pickles: Vec<Heard>,
    /// Tensors.
    pub tensors: Vec<Tensor>,
    /// Where its numbers stand, if that was asked for.
    pub layout: Option<Layout>,
    members: Vec<Member>,
    mute: usize,
    unpacked: u64,
}

/// Everything that is to be seen in a file.
pub struct Examination {
    /// The file itself first, then what is nested in it, level by level in order.
    pub looked: Vec<Looked>,
}

/// Examines a file.
pub fn examine(source: SharedSource, name: &str, watch: &Watch, keep: Keep) -> Examination {
    let root = Artifact {
        chain: Chain::root(),
        name: name.to_owned(),
        source,
        depth: 0,
        role: Role::Unknown,
        watch: watch.clone(),
    };
    let mut done = vec![look(&root, keep, None)];
    let (mut unpacked, mut members, mut heap) = (0u64, 0usize, 0usize);
    let mut parents = 0..done.len();
    for depth in 1.. {
        let mut wave: Vec<(Chain, Member)> = Vec::new();
        let mut count = 0;
        for looked in done.get_mut(parents.clone()).unwrap_or_default() {
            count += looked.members.len() + looked.mute;
            let members = std::mem::take(&mut looked.members).into_iter();
            wave.extend(members.map(|member| (looked.chain.member(&member.name), member)));
        }
        if count == 0 {
            break;
        }
        members += count;
        let stop = if depth > watch.limits.depth {
            Some("nesting of artifacts")
        } else if members > watch.limits.members {
            Some("nested artifacts of one file")
        } else if unpacked > watch.limits.unpacked_bytes {
            Some("bytes unpacked from one file")
        } else if watch.expired() {
            Some("time for one file")
        } else {
            None
        };
        if let (Some(what), Some(root)) = (stop, done.first_mut()) {
            let first = wave.first().map_or_else(String::new, |(chain, _)| format!(" from {chain} on"));
            root.unread.push((None, Unread::Limit(format!("{what}: {count} members{first}"))));
            break;
        }
        let from = done.len();
        let mut wave = wave.into_iter();
        loop {
            // What values are to be kept is decided in order, and only so many pieces have theirs until then.
            let most = if keep.layout { rayon::current_num_threads() * 4 } else { usize::MAX };
            let piece: Vec<_> = wave.by_ref().take(most).collect();
            if piece.is_empty() {
                break;
            }
            let results: Vec<Looked> =
                piece.into_par_iter().map(|(chain, member)| open(chain, member, depth, watch, keep)).collect();
            for mut looked in results {
                unpacked += looked.unpacked;
                looked.forget_over(&mut heap, watch.limits.heap_bytes);
                // Raw numbers of which nothing is to be said are not kept: a checkpoint has thousands of them.
                if keep.events || looked.matters() {
                    done.push(looked);
                }
            }
        }
        parents = from..done.len();
    }
    Examination { looked: done }
}

impl Looked {
    /// Keeps the values of its pickles as long as all together are no more than `limit` bytes.
    fn forget_over(&mut self, heap: &mut usize, limit: usize) {
        for heard in &mut self.pickles {
            *heap = heap.saturating_add(heard.trace.heap.bytes());
            if *heap > limit {
                heard.trace.forget();
            }
        }
    }

    fn matters(&self) -> bool {
        let nothing = self.facts.is_empty() && self.unread.is_empty() && self.pickles.is_empty();
        !(nothing && self.members.is_empty() && self.mute == 0 && self.layout.is_none())
    }

    fn nothing(chain: Chain, size: u64) -> Self {
        Self {
            chain,
            size,
            format: None,
            facts: Vec::new(),
            unread: Vec::new(),
            pickles: Vec::new(),
            tensors: Vec::new(),
            layout: None,
            members: Vec::new(),
            mute: 0,
            unpacked: 0,
        }
    }
}

fn open(chain: Chain, member: Member, depth: usize, watch: &Watch, keep: Keep) -> Looked {
    let (opened, unpacked) = match member.content {
        Content::Source(source) => (Opened { source: Some(source), facts: Vec::new(), unread: None }, false),
        Content::Entry(entry) => (entry.open(watch), true),
    };
    let mut looked = match opened.source {
        Some(source) => {
            let size = source.len();
            let artifact =
                Artifact { name: member.name, source, depth, role: member.role, watch: watch.clone(), chain };
            let mut looked = look(&artifact, keep, member.heard);
            looked.unpacked = if unpacked { size } else { 0 };
            looked
        }
        None => Looked::nothing(chain, 0),
    };
    looked.facts.extend(opened.facts.into_iter().map(|fact| (None, fact)));
    looked.unread.extend(opened.unread.map(|why| (None, why)));
    looked
}

/// Whether it is a pickle that a loader would take tensors from: the file itself, what is compressed in it, the `data.pkl` of
/// a checkpoint or the `pickle` of its old form.
fn holds_weights(artifact: &Artifact) -> bool {
    let name = artifact.name.rsplit('/').next().unwrap_or_default();
    let compressed = artifact.depth == 1 && name.starts_with('(');
    artifact.depth == 0 || compressed || name.eq_ignore_ascii_case("data.pkl") || name == "pickle"
}

/// Looks at one artifact with every format that claims it. `heard` is the pickle at its start, where it was followed already.
fn look(artifact: &Artifact, keep: Keep, heard: Option<Heard>) -> Looked {
    let mut looked = Looked::nothing(artifact.chain.clone(), artifact.source.len());
    // A checkpoint has thousands of records of raw numbers: their first bytes tell that they are no artifact. What else
    // is small is read at once.
    let (length, most) = if artifact.role == Role::Numbers { (NUMBERS, 0) } else { (4096, GATHERED) };
    let source = match gathered(artifact.source.clone(), most) {
        Ok(source) => source,
        Err(error) => {
            looked.unread.push((None, Unread::Io(error.to_string())));
            return looked;
        }
    };
    let artifact = &Artifact { source, ..artifact.clone() };
    let head = match read_vec(artifact.source.as_ref(), 0, length) {
        Ok(head) => head,
        Err(error) => {
            looked.unread.push((None, Unread::Io(error.to_string())));
            return looked;
        }
    };
    if artifact.role == Role::Numbers && crate::pickle::literal::look(&head, false).is_none() {
        return looked;
    }
    let mut seen = Seen::new(Calls::listen, keep).having(heard);
    // A panic is a bug of ours; it must not take the other files' answers along, nor pass as clean.
    let run = catch_unwind(AssertUnwindSafe(|| {
        let formats = claim(&Head { start: &head, artifact });
        if let Some(fact) = polyglot(&formats) {
            seen.fact(None, fact);
        }
        formats.iter().for_each(|format| format.examine(artifact, &mut seen));
        formats
    }));
    match run {
        Ok(formats) => {
            let special = |id: &'static str| seen.turned_out.filter(|_| id == "zip").unwrap_or(id);
            looked.format = formats.first().map(|format| special(format.id()));
            let acts = formats.iter().any(|format| format.acts()) || seen.turned_out.is_some();
            if artifact.role == Role::Unknown
                && let Some(fact) = disagreement(&artifact.name, looked.format, acts)
            {
                seen.fact(None, fact);
            }
            // A name that promises a format is a broken file of that format, not an unknown one.
            let promised = [(".safetensors", "safetensors"), (".npy", "numpy"), (".keras", "keras")];
            let promised = promised.iter().find(|(extension, _)| artifact.name.ends_with(extension));
            if let (None, Some((extension, format)), Role::Unknown, 1..) =
                (looked.format, promised, artifact.role, looked.size)
            {
                looked.format = Some(format);
                seen.unread(
                    None,
                    Unread::Broken(format!("the name ends in {extension}, the content is nothing of the kind")),
                );
            }
        }
        Err(_) => seen.unread(None, Unread::Broken("the scanner itself failed here; please report it".to_owned())),
    }
    if !(keep.events || keep.layout && holds_weights(artifact)) {
        seen.pickles.iter_mut().for_each(|heard| heard.trace.forget());
    }
    looked.facts = seen.facts;
    looked.unread = seen.unread;
    looked.pickles = seen.pickles;
    looked.tensors = seen.tensors;
    looked.layout = seen.layout;
    looked.members = seen.members;
    looked.mute = seen.mute;
    looked
}

fn claim(head: &Head<'_>) -> Vec<&'static dyn Format> {
    let claims: Vec<(&dyn Format, Recognition)> =
        FORMATS.iter().map(|format| (*format, format.recognize(head))).collect();
    let by = |wanted: Recognition| claims.iter().filter(move |claim| claim.1 == wanted).map(|claim| claim.0);
    let certain: Vec<&dyn Format> = by(Recognition::Certain).collect();
    // A zip that is found from its end stands beside whatever the start is: a pickle before it is a polyglot.
    let formats: Vec<&dyn Format> = if certain.is_empty() {
        by(Recognition::Possible).take(1).collect()
    } else {
        let behind = by(Recognition::Possible).filter(|format| format.id() == "zip");
        certain.into_iter().chain(behind).collect()
    };
    let replaced: Vec<&str> = formats.iter().filter_map(|format| format.instead_of()).collect();
    formats.into_iter().filter(|format| !replaced.contains(&format.id())).collect()
}

fn polyglot(formats: &[&'static dyn Format]) -> Option<Fact> {
    let acting = formats.iter().filter(|format| format.acts()).count();
    (acting > 0 && formats.len() > 1)
        .then(|| Fact::Polyglot { formats: formats.iter().map(|format| format.id()).collect() })
}

/// A name that promises data, over bytes that act when loaded.
fn disagreement(name: &str, format: Option<&'static str>, acts: bool) -> Option<Fact> {
    let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
    let format = format?;
    let claimed = match extension.as_str() {
        "safetensors" if format != "safetensors" && format != "lfs-pointer" => "safetensors",
        "keras" if format != "keras" && format != "lfs-pointer" => "a Keras model",
        "npy" if format != "numpy" && format != "lfs-pointer" => "npy",
        "gguf" | "onnx" | "json" | "txt" | "md" | "yaml" | "yml" | "csv" | "toml" | "h5" | "png" | "jpg" | "tflite"
            if acts || format == "executable" =>
        {
            "a format that does not act when it is loaded"
        }
        _ => return None,
    };
    let weight = if acts { Weight::Misleading } else { Weight::Wrong };
    Some(Fact::NameDisagrees { claimed: claimed.to_owned(), found: format.to_owned(), weight })
}
