//! From the bytes of a file to everything that is to be seen in it: a worklist, no recursion, wave by wave in parallel.
//!
//! Each wave looks at all artifacts that the wave before it found. What a wave yields is put together in order, and the
//! budgets of the file are counted there, so that one thread or many come to the same result.

use crate::archive::OpenedEntry;
use crate::fact::{Deviation, Fact, Unread};
use crate::format::all::{self as formats, FORMATS};
use crate::format::{Format, Head, Recognition};
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::scan::{MAX_ARTIFACT_IN_MEMORY_BYTES, MAX_HEAD_BYTES, MAX_TENSOR_HEAD_BYTES};
use crate::io::budget::ScanBudget;
use crate::io::member_path::MemberPath;
use crate::io::source::{SharedSource, read_if_small, read_vec};
use crate::judge::rule::calls::Calls;
use crate::judge::rule::state_keys::is_watched_key;
use crate::observe::format_info::{FormatInfo, TensorSource};
use crate::observe::layout::Layout;
use crate::observe::observations::{Member, MemberContent, Observations, PickleStream, Retain, Tensor};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What one artifact turned out to be.
pub struct ExaminedArtifact {
    /// Where it stands.
    pub member_path: MemberPath,
    /// Its size.
    pub size: u64,
    /// Its format, if any claims it.
    pub format: Option<&'static str>,
    /// Facts.
    pub facts: Vec<(Option<u64>, Fact)>,
    /// What was not read.
    pub unread: Vec<(Option<u64>, Unread)>,
    /// Pickle streams.
    pub pickles: Vec<PickleStream>,
    /// Tensors.
    pub tensors: Vec<Tensor>,
    /// Where its numbers stand, if that was asked for.
    pub layout: Option<Layout>,
    members: Vec<Member>,
    skipped: usize,
    unpacked: u64,
}

/// Everything that is to be seen in a file.
pub struct Examination {
    /// The file itself first, then what is nested in it, level by level in order.
    pub artifacts: Vec<ExaminedArtifact>,
}

/// Examines a file.
pub fn examine(source: SharedSource, name: &str, budget: &ScanBudget, keep: Retain) -> Examination {
    let root = Artifact {
        member_path: MemberPath::root(),
        name: name.to_owned(),
        source,
        depth: 0,
        role: Role::Unknown,
        budget: budget.clone(),
    };
    let mut done = vec![examine_artifact(&root, keep, None)];
    let (mut unpacked, mut members, mut heap) = (0u64, 0usize, 0usize);
    let mut parents = 0..done.len();
    for depth in 1.. {
        let mut wave: Vec<(MemberPath, Member)> = Vec::new();
        let mut count = 0;
        for examined in done.get_mut(parents.clone()).unwrap_or_default() {
            count += examined.members.len() + examined.skipped;
            let members = std::mem::take(&mut examined.members).into_iter();
            wave.extend(members.map(|member| (examined.member_path.member(&member.name), member)));
        }
        if count == 0 {
            break;
        }
        members += count;
        let stop = if depth > budget.limits.depth {
            Some("nesting of artifacts")
        } else if members > budget.limits.members {
            Some("nested artifacts of one file")
        } else if unpacked > budget.limits.unpacked_bytes {
            Some("bytes unpacked from one file")
        } else if budget.expired() {
            Some("time for one file")
        } else {
            None
        };
        if let (Some(what), Some(root)) = (stop, done.first_mut()) {
            let first = wave.first().map_or_else(String::new, |(member_path, _)| format!(" from {member_path} on"));
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
            let results: Vec<ExaminedArtifact> = piece
                .into_par_iter()
                .map(|(member_path, member)| open_member(member_path, member, depth, budget, keep))
                .collect();
            for mut examined in results {
                unpacked += examined.unpacked;
                examined.drop_values_over(&mut heap, budget.limits.heap_bytes);
                // Raw numbers of which nothing is to be said are not kept: a checkpoint has thousands of them.
                if keep.events || examined.is_noteworthy() {
                    done.push(examined);
                }
            }
        }
        parents = from..done.len();
    }
    Examination { artifacts: done }
}

impl ExaminedArtifact {
    /// Where its tensors are read from, if its format has any.
    pub fn tensor_source(&self) -> Option<TensorSource> {
        self.format.and_then(formats::by_id)?.tensors
    }

    /// Keeps the values of its pickles as long as all together are no more than `limit` bytes.
    fn drop_values_over(&mut self, heap: &mut usize, limit: usize) {
        for stream in &mut self.pickles {
            *heap = heap.saturating_add(stream.trace.heap.bytes());
            if *heap > limit {
                stream.trace.drop_values();
            }
        }
    }

    fn is_noteworthy(&self) -> bool {
        let nothing = self.facts.is_empty() && self.unread.is_empty() && self.pickles.is_empty();
        !(nothing && self.members.is_empty() && self.skipped == 0 && self.layout.is_none())
    }

    fn empty(member_path: MemberPath, size: u64) -> Self {
        Self {
            member_path,
            size,
            format: None,
            facts: Vec::new(),
            unread: Vec::new(),
            pickles: Vec::new(),
            tensors: Vec::new(),
            layout: None,
            members: Vec::new(),
            skipped: 0,
            unpacked: 0,
        }
    }
}

fn open_member(
    member_path: MemberPath,
    member: Member,
    depth: usize,
    budget: &ScanBudget,
    keep: Retain,
) -> ExaminedArtifact {
    let (opened, unpacked) = match member.content {
        MemberContent::Source(source) => (OpenedEntry { source: Some(source), facts: Vec::new(), unread: None }, false),
        MemberContent::Entry(entry) => (entry.open(budget), true),
    };
    let mut examined = match opened.source {
        Some(source) => {
            let size = source.len();
            let artifact =
                Artifact { name: member.name, source, depth, role: member.role, budget: budget.clone(), member_path };
            let mut examined = examine_artifact(&artifact, keep, member.stream);
            examined.unpacked = if unpacked { size } else { 0 };
            examined
        }
        None => ExaminedArtifact::empty(member_path, 0),
    };
    examined.facts.extend(opened.facts.into_iter().map(|fact| (None, fact)));
    examined.unread.extend(opened.unread.map(|why| (None, why)));
    examined
}

/// Whether it is a pickle that a loader would take tensors from: the file itself, what is compressed in it, the `data.pkl` of
/// a checkpoint or the `pickle` of its old form.
fn holds_weights(artifact: &Artifact) -> bool {
    let name = artifact.name.rsplit('/').next().unwrap_or_default();
    let compressed = artifact.depth == 1 && name.starts_with('(');
    artifact.depth == 0 || compressed || name.eq_ignore_ascii_case("data.pkl") || name == "pickle"
}

/// Looks at one artifact with every format that claims it. `heard` is the pickle at its start, where it was followed already.
fn examine_artifact(artifact: &Artifact, keep: Retain, stream: Option<PickleStream>) -> ExaminedArtifact {
    let mut examined = ExaminedArtifact::empty(artifact.member_path.clone(), artifact.source.len());
    // A checkpoint has thousands of records of raw numbers: their first bytes tell that they are no artifact. What else
    // is small is read at once.
    let (length, most) = if artifact.role == Role::TensorData {
        (MAX_TENSOR_HEAD_BYTES, 0)
    } else {
        (MAX_HEAD_BYTES, MAX_ARTIFACT_IN_MEMORY_BYTES)
    };
    let source = match read_if_small(artifact.source.clone(), most) {
        Ok(source) => source,
        Err(error) => {
            examined.unread.push((None, Unread::Io(error.to_string())));
            return examined;
        }
    };
    let artifact = &Artifact { source, ..artifact.clone() };
    let head = match read_vec(artifact.source.as_ref(), 0, length) {
        Ok(head) => head,
        Err(error) => {
            examined.unread.push((None, Unread::Io(error.to_string())));
            return examined;
        }
    };
    if artifact.role == Role::TensorData && crate::pickle::literal::classify(&head, false).is_none() {
        return examined;
    }
    let mut observations = Observations::new(Calls::listen, is_watched_key, keep).with_stream(stream);
    // A panic is a bug of ours; it must not take the other files' answers along, nor pass as clean.
    let run = catch_unwind(AssertUnwindSafe(|| {
        let formats = claiming_formats(&Head { start: &head, artifact });
        if let Some(fact) = polyglot(&formats) {
            observations.fact(None, fact);
        }
        formats.iter().for_each(|format| format.examine(artifact, &mut observations));
        formats
    }));
    match run {
        Ok(formats) => {
            let found = name_format(&formats, observations.refined_format);
            examined.format = found.map(|info| info.id);
            if artifact.role == Role::Unknown {
                let acts = acts(&formats) || observations.refined_format.is_some();
                if let Some(fact) = found.and_then(|found| name_disagreement(&artifact.name, found, acts)) {
                    observations.fact(None, fact);
                }
                // A name that promises a format is a broken file of that format, not an unknown one.
                if let (None, Some((info, extension)), 1..) = (found, promised_format(&artifact.name), examined.size) {
                    examined.format = Some(info.id);
                    let why = format!("the name ends in .{extension}, the content is nothing of the kind");
                    observations.unread(None, Unread::Broken(why));
                }
            }
        }
        Err(_) => {
            observations.unread(None, Unread::Broken("the scanner itself failed here; please report it".to_owned()))
        }
    }
    if !(keep.events || keep.layout && holds_weights(artifact)) {
        observations.pickles.iter_mut().for_each(|stream| stream.trace.drop_values());
    }
    examined.facts = observations.facts;
    examined.unread = observations.unread;
    examined.pickles = observations.pickles;
    examined.tensors = observations.tensors;
    examined.layout = observations.layout;
    examined.members = observations.members;
    examined.skipped = observations.skipped;
    examined
}

/// The formats that claim the bytes, the one that names the artifact first.
fn claiming_formats(head: &Head<'_>) -> Vec<&'static dyn Format> {
    let claims: Vec<(&dyn Format, Recognition)> =
        FORMATS.iter().map(|format| (*format, format.recognize(head))).collect();
    let by = |degree: Recognition| claims.iter().filter(move |claim| claim.1 == degree).map(|claim| claim.0);
    let certain: Vec<&dyn Format> = by(Recognition::Certain).collect();
    // A format that is found from the end of the file may follow any other one: a pickle in front of a zip is a polyglot.
    let formats: Vec<&dyn Format> = if certain.is_empty() {
        by(Recognition::Possible).take(1).collect()
    } else {
        let behind = by(Recognition::Possible).filter(|format| format.info().is_found_from_end);
        certain.into_iter().chain(behind).collect()
    };
    let refined: Vec<&str> = formats.iter().filter_map(|format| format.info().refines).map(|info| info.id).collect();
    formats.into_iter().filter(|format| !refined.contains(&format.info().id)).collect()
}

/// The format that names the artifact: the first one, or the special format that it turned out to be.
fn name_format(formats: &[&'static dyn Format], refined: Option<&'static FormatInfo>) -> Option<&'static FormatInfo> {
    let first = formats.first()?.info();
    let refined = refined.filter(|special| special.refines.is_some_and(|general| general.id == first.id));
    Some(refined.unwrap_or(first))
}

fn acts(formats: &[&'static dyn Format]) -> bool {
    formats.iter().any(|format| format.info().acts_when_loaded)
}

fn polyglot(formats: &[&'static dyn Format]) -> Option<Fact> {
    (acts(formats) && formats.len() > 1)
        .then(|| Fact::Polyglot { formats: formats.iter().map(|format| format.info().id).collect() })
}

/// The format that alone has the extension of this name, and the extension.
fn promised_format(name: &str) -> Option<(&'static FormatInfo, &'static str)> {
    FORMATS.iter().map(|format| format.info()).filter(|info| info.promised_as.is_some()).find_map(|info| {
        let ends = |extension: &&&str| name.strip_suffix(**extension).is_some_and(|rest| rest.ends_with('.'));
        info.extensions.iter().find(ends).map(|extension| (info, *extension))
    })
}

/// Extensions of data that no program executes, of formats that have no reader here or any content.
const DATA_EXTENSIONS: [&str; 13] =
    ["gguf", "onnx", "json", "txt", "md", "yaml", "yml", "csv", "toml", "h5", "png", "jpg", "tflite"];

/// A name that promises data, for bytes that act when they are loaded or are of another format.
fn name_disagreement(name: &str, found: &FormatInfo, acts: bool) -> Option<Fact> {
    let name = name.to_ascii_lowercase();
    let claimed = match promised_format(&name) {
        Some((info, _)) if info.id != found.id && !found.is_pointer => info.promised_as?,
        Some(_) => return None,
        None => {
            let (_, extension) = name.rsplit_once('.')?;
            (acts && DATA_EXTENSIONS.contains(&extension)).then_some("a format that does not act when it is loaded")?
        }
    };
    let deviation = if acts { Deviation::Misleading } else { Deviation::Wrong };
    Some(Fact::NameDisagrees { claimed: claimed.to_owned(), found: found.id.to_owned(), deviation })
}
