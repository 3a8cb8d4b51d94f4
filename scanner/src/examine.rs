//! Examines a file and everything nested in it: a worklist without recursion, wave by wave, each wave in parallel.
//!
//! A wave examines the members that the wave before it found. Results are put together in order, and limits of the whole
//! file are compared there, so that one thread and many give the same result.

use crate::archive::OpenedEntry;
use crate::fact::Unread;
use crate::format::{Format, Head};
use crate::io::artifact::{Artifact, Role};
use crate::io::bounds::scan::{MAX_ARTIFACT_IN_MEMORY_BYTES, MAX_HEAD_BYTES, MAX_TENSOR_HEAD_BYTES};
use crate::io::budget::ScanBudget;
use crate::io::member_path::MemberPath;
use crate::io::source::{SharedSource, read_if_small, read_vec};
use crate::judge::decide::pickle_calls::CallDecider;
use crate::judge::decide::state_keys::is_watched_key;
pub use crate::observe::examined::{Examination, ExaminedArtifact};
use crate::observe::format_info::FormatInfo;
use crate::observe::observations::{Member, MemberContent, Observations, PickleStream, Retain};
use crate::recognize::{can_run_code, claiming_formats, name_disagreement, name_format, polyglot, promised_format};
use rayon::prelude::*;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
        if let (Some(limit), Some(root)) = (limit_hit(depth, members, unpacked, budget), done.first_mut()) {
            let first = wave.first().map_or_else(String::new, |(member_path, _)| format!(" from {member_path} on"));
            root.unread.push((None, Unread::Limit(format!("{limit}: {count} members{first}"))));
            break;
        }
        let from = done.len();
        let mut wave = wave.into_iter();
        // With layouts, traces hold many values until their limit is compared, so fewer members are examined at a time.
        let batch_size = if keep.layout { rayon::current_num_threads() * 4 } else { usize::MAX };
        loop {
            let batch: Vec<_> = wave.by_ref().take(batch_size).collect();
            if batch.is_empty() {
                break;
            }
            let results: Vec<ExaminedArtifact> = batch
                .into_par_iter()
                .map(|(member_path, member)| open_member(member_path, member, depth, budget, keep))
                .collect();
            for mut examined in results {
                unpacked += examined.unpacked;
                examined.drop_values_over(&mut heap, budget.limits.heap_bytes);
                // Records of tensor data without observations are not kept: a checkpoint has thousands of them.
                if keep.events || examined.is_noteworthy() {
                    done.push(examined);
                }
            }
        }
        parents = from..done.len();
    }
    Examination { artifacts: done }
}

/// The limit of the whole file that the next wave would exceed.
fn limit_hit(depth: usize, members: usize, unpacked: u64, budget: &ScanBudget) -> Option<&'static str> {
    if depth > budget.limits.depth {
        Some("nesting of artifacts")
    } else if members > budget.limits.members {
        Some("nested artifacts of one file")
    } else if unpacked > budget.limits.unpacked_bytes {
        Some("bytes unpacked from one file")
    } else if budget.expired() {
        Some("time for one file")
    } else {
        None
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

/// Whether a loader may read tensors from this pickle: the file itself, its compressed content, the `data.pkl` of a
/// checkpoint or the `pickle` of torch's tar.
fn holds_weights(artifact: &Artifact) -> bool {
    let name = artifact.name.rsplit('/').next().unwrap_or_default();
    let compressed = artifact.depth == 1 && name.starts_with('(');
    artifact.depth == 0 || compressed || name.eq_ignore_ascii_case("data.pkl") || name == "pickle"
}

/// Examines one artifact with every format that claims it. `stream` is the pickle at its start, where it was followed
/// already.
fn examine_artifact(artifact: &Artifact, keep: Retain, stream: Option<PickleStream>) -> ExaminedArtifact {
    let mut examined = ExaminedArtifact::empty(artifact.member_path.clone(), artifact.source.len());
    let (artifact, head) = match read_head(artifact) {
        Ok(read) => read,
        Err(error) => {
            examined.unread.push((None, Unread::Io(error.to_string())));
            return examined;
        }
    };
    let artifact = &artifact;
    if artifact.role == Role::TensorData && crate::pickle::literal::classify(&head, false).is_none() {
        return examined;
    }
    let mut observations = Observations::new(CallDecider::listen, is_watched_key, keep).with_stream(stream);
    // A panic is a bug of the scanner. It must not lose the answers for other files, nor pass as clean.
    let run = catch_unwind(AssertUnwindSafe(|| {
        let formats = claiming_formats(&Head { start: &head, artifact });
        if let Some(fact) = polyglot(&formats) {
            observations.fact(None, fact);
        }
        formats.iter().for_each(|format| format.examine(artifact, &mut observations));
        formats
    }));
    match run {
        Ok(formats) => examined.set_format(format_of(artifact, &formats, &mut observations)),
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

/// The artifact, in memory where it is small, and its first bytes. Of tensor data only a few bytes are read.
fn read_head(artifact: &Artifact) -> io::Result<(Artifact, Vec<u8>)> {
    let (head_bytes, in_memory_bytes) = match artifact.role {
        Role::TensorData => (MAX_TENSOR_HEAD_BYTES, 0),
        Role::Unknown
        | Role::TarStorages
        | Role::TarTensors
        | Role::KerasConfig
        | Role::KerasWeights
        | Role::Literal => (MAX_HEAD_BYTES, MAX_ARTIFACT_IN_MEMORY_BYTES),
    };
    let source = read_if_small(artifact.source.clone(), in_memory_bytes)?;
    let head = read_vec(source.as_ref(), 0, head_bytes)?;
    Ok((Artifact { source, ..artifact.clone() }, head))
}

/// The format that names the artifact. States where its file name promises another one.
fn format_of(
    artifact: &Artifact,
    formats: &[&'static dyn Format],
    observations: &mut Observations,
) -> Option<&'static FormatInfo> {
    let found = name_format(formats, observations.refined_format);
    if artifact.role != Role::Unknown {
        return found;
    }
    let acts = can_run_code(formats) || observations.refined_format.is_some();
    if let Some(fact) = found.and_then(|found| name_disagreement(&artifact.name, found, acts)) {
        observations.fact(None, fact);
    }
    // A name that promises a format is a broken file of that format, not an unknown one.
    if let (None, Some((info, extension)), 1..) = (found, promised_format(&artifact.name), artifact.source.len()) {
        let why = format!("the name ends in .{extension}, the content is nothing of the kind");
        observations.unread(None, Unread::Broken(why));
        return Some(info);
    }
    found
}
