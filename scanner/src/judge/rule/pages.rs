//! The pages of the rules: what a finding means, an example, and what to do. `modelscan rule`, the help under each
//! finding and `docs/rules.md` are all made from here. An id is a promise: people put it into their configuration.

use crate::judge::finding::Severity;

/// The page of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its name, which never changes.
    pub id: &'static str,
    /// How bad it usually is; the page says when a finding is milder or worse.
    pub severity: Severity,
    /// What it says, in a few words.
    pub summary: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// What it is said about.
    pub example: &'static str,
    /// What to do: stands under every finding, so on one line and short enough to be shown whole there.
    pub help: &'static str,
}

/// All pages, sorted by id.
pub fn rules() -> &'static [RuleInfo] {
    PAGES
}

const PAGES: &[RuleInfo] = &[
    RuleInfo {
        id: "archive-mismatch",
        severity: Severity::High,
        summary: "readers of this archive see different contents",
        why: "\
A zip file describes each entry twice, and nothing makes the two agree: Python, torch and streaming tools
then unpack different bytes under one name. Honest writers never do this; it is how a payload is shown to
the loader and hidden from the scanner. All the contents that some reader would see were scanned.
Deviations that lead no reader elsewhere are medium or info.",
        example: "\
the directory at the end says   archive/data.pkl  at byte 4096
the header at byte 0 says       archive/data.pkl  too, with other bytes behind it",
        help: "do not load the archive as it is; if its source is trusted, unpack it, compare the entries with the original and pack them again with an ordinary tool",
    },
    RuleInfo {
        id: "computed-callable",
        severity: Severity::Critical,
        summary: "a pickle imports or calls something that it computes",
        why: "\
The module, the name or the function itself is the result of an earlier step, so no reading of the file can
tell what would run. Picklers write every name as a plain text. What is only used as a key is medium, an
object out of the loader's extension table is high.",
        example: "\
getattr(posix, 'sys' + 'tem')('id')
a STACK_GLOBAL whose name is the result of a REDUCE",
        help: "do not load it; ask the publisher for the weights as safetensors. If it has to be loaded, contain it: modelscan run -- python load.py",
    },
    RuleInfo {
        id: "decompression-bomb",
        severity: Severity::High,
        summary: "a few packed bytes unpack to very many",
        why: "\
Weights hardly compress. A member that grows hundreds of times when it is unpacked is there to fill the
memory or the disk of whoever loads it. Unpacking stopped at the limit, so what lies behind was not read.",
        example: "a gzip stream of 10 KB that unpacks to 10 GB of zeros",
        help: "do not unpack or load it; if so many equal bytes are expected, scan again with a higher --limit-ratio",
    },
    RuleInfo {
        id: "embedded-code",
        severity: Severity::High,
        summary: "a pickle holds a compiled Python function",
        why: "\
A marshalled code object stands among the values: Python bytecode that somebody wants to run after the
load. Libraries that pickle functions (dill, cloudpickle) write it. marshal itself is not safe on bytes
from strangers, and this scanner does not judge bytecode.",
        example: "cloudpickle.dumps(lambda x: x + 1)",
        help: "do not load it; ask the publisher for weights without code, or save the model again with its functions in a module and only its state in the file",
    },
    RuleInfo {
        id: "embedded-program",
        severity: Severity::Medium,
        summary: "the model brings a program of its own",
        why: "\
Formats such as TorchScript store operations in a language of their own, and these run when the model is
used. It is no Python, but it can read and write files, and no scanner proves what it does.",
        example: "model.pt::model/code/__torch__/net.py",
        help: "take it from a source you trust, or ask for plain weights; run it contained: modelscan run -- python predict.py",
    },
    RuleInfo {
        id: "executable-content",
        severity: Severity::Critical,
        summary: "machine code or a script among the weights",
        why: "\
A program (ELF, PE, Mach-O) or a script with an interpreter line stands where a model should be. A model
does not need one; something else in the artifact may start it.",
        example: "model.zip::archive/data/0 starts with 7f 45 4c 46 (ELF)",
        help: "do not load or run it, and find out who put it there; weights are data and need no program beside them",
    },
    RuleInfo {
        id: "external-reference",
        severity: Severity::High,
        summary: "the model reads something outside of itself",
        why: "\
It names a file, a folder or an address that is not part of it. A loader that follows the name reads, and
may later give away, whatever stands there on your machine; and what was scanned is not all of the model.",
        example: "an ONNX tensor with external data at ../../etc/passwd",
        help: "look at the target: if it is a file that belongs to the model, put it beside the model and scan both; otherwise do not load it",
    },
    RuleInfo {
        id: "format-mismatch",
        severity: Severity::Medium,
        summary: "the name says one format and the content is another",
        why: "\
Programs and people choose by the name: a file called .safetensors is taken for harmless and loaded without
a second look, and other scanners skip what their list of names does not know. High where what was found
acts when it is loaded, info where it is a common habit.",
        example: "model.safetensors starts with 80 04 95: it is a pickle",
        help: "find out why the name is wrong; give the file the name of its content and scan it again before anything loads it",
    },
    RuleInfo {
        id: "implicit-call",
        severity: Severity::High,
        summary: "a pickle makes Python call something without calling it",
        why: "\
Setting attributes, adding items and using keys all run methods of the object that is changed. A pickle that
plants such a method, or changes an object that the whole process shares, gets a call that shows no REDUCE.
Critical where the changed object is an imported module, class or function.",
        example: "\
an object of argparse.Namespace gets the attribute `append` = os.system,
then APPENDS 'id' calls it",
        help: "do not load it; no pickler writes this. Ask the publisher for the weights as safetensors",
    },
    RuleInfo {
        id: "malformed-pickle",
        severity: Severity::Low,
        summary: "a pickle breaks, or is written as no pickler writes it",
        why: "\
A pickle runs as it is read: all that stands before the break has happened when the error is raised. Files
are cut by broken downloads, and also on purpose, because some scanners give up at the break and report
nothing. All up to that place was judged.",
        example: "cos\\nsystem\\n(S'id'\\ntR followed by no STOP",
        help: "fetch the file again and compare its checksum with the publisher's; if it is the same, it was made so, and should not be loaded",
    },
    RuleInfo {
        id: "not-fully-read",
        severity: Severity::Low,
        summary: "part of the file was not read",
        why: "\
It is encrypted, broken, packed by a method that is not supported, over a limit, or not there at all (a Git
LFS pointer). Nothing is known about what was not read, so the file is not called clean.",
        example: "model.zip::archive/data.pkl is encrypted",
        help: "remove the reason that the message gives (decrypt, repack, fetch with `git lfs pull`, raise the limit: modelscan scan --help lists them) and scan again; until then treat the file as unknown",
    },
    RuleInfo {
        id: "object-array",
        severity: Severity::Info,
        summary: "an array of Python objects",
        why: "\
numpy stores arrays of objects as a pickle, and refuses to load them unless allow_pickle=True is given. The
pickle inside was judged like any other; this line says only that it is there.",
        example: "numpy.save('names.npy', numpy.array(['a', None], dtype=object))",
        help: "never give allow_pickle=True for files from strangers; store texts and numbers as arrays of their own type",
    },
    RuleInfo {
        id: "path-escape",
        severity: Severity::High,
        summary: "a path leads out of its folder",
        why: "\
Whoever unpacks the archive may write to, or read from, a place outside of the folder that was chosen: a
path with `..`, an absolute path, a drive, or a link that points away. So do files of startup scripts and
keys get replaced.",
        example: "model.zip::../../.bashrc",
        help: "do not unpack it; if its source is trusted, ask for an archive with plain relative paths and without links",
    },
    RuleInfo {
        id: "polyglot",
        severity: Severity::Critical,
        summary: "the same bytes are several formats at once",
        why: "\
Different programs load different things from this file, so that one of them can be harmless and the other
not. No writer does this by accident.",
        example: "a pickle with a zip archive behind it: pickle.load reads the first, zipfile the second",
        help: "do not load it with any program; ask the publisher for a file of one format",
    },
    RuleInfo {
        id: "reader-disagreement",
        severity: Severity::High,
        summary: "different Pythons read this pickle differently",
        why: "\
The unpicklers of CPython (C and Python, old and new), PyPy and the tools that list pickles do not agree on
some odd notations. There a file can do harm in one of them and look harmless in another. No pickler writes
these. Critical where a frame is cut so that whole opcodes are seen by some readers only.",
        example: "\
I0x10 is 16 in one reader and an error in another
an argument that crosses the end of its frame",
        help: "do not load it; if you made it yourself, load it where it was made and save it again with pickle or torch.save",
    },
    RuleInfo {
        id: "special-file",
        severity: Severity::Medium,
        summary: "a socket, FIFO or device among the files",
        why: "\
Such a file holds nothing. Opening one may block for ever or act on a device, so it was not opened. No model
contains one.",
        example: "models/weights.bin is a FIFO",
        help: "remove it, or leave it out of what is scanned; do not let a loader open the folder as it is",
    },
    RuleInfo {
        id: "structure-violation",
        severity: Severity::Medium,
        summary: "a header breaks the rules of its format",
        why: "\
Sizes, offsets, types or names are such as the format forbids, or the bytes do not bear them out. Loaders
written in C have been taken over by such headers. High where a reader may be led to foreign bytes, info
where honest files do it too.",
        example: "two tensors of a safetensors file that share bytes",
        help: "fetch the file again and compare its checksum with the publisher's; if it is the same, do not give it to a native loader",
    },
    RuleInfo {
        id: "trailing-data",
        severity: Severity::Medium,
        summary: "bytes behind the end that no reader looks at",
        why: "\
Nothing that loads this format reads them, so nobody sees what they are: a second file, a payload that
another part fetches, or what a copying tool left over.",
        example: "4096 bytes behind the last tensor of model.safetensors",
        help: "look at the bytes from the place that is named; rewrite the file without them, for example with modelscan convert",
    },
    RuleInfo {
        id: "unexpected-arguments",
        severity: Severity::High,
        summary: "a harmless function with arguments that no pickler gives it",
        why: "\
Some functions are inert only with the arguments that picklers write: a codec may be a name that runs an
import, a default factory is called later, a size may reach beyond its storage. Here the arguments are
others. Medium where there were too many to keep and check.",
        example: "collections.defaultdict(os.system)",
        help: "do not load it unless the evidence is explained; if an ordinary library wrote this file, please report it as a false alarm with the evidence line",
    },
    RuleInfo {
        id: "unknown-callable",
        severity: Severity::Medium,
        summary: "a pickle or configuration uses a name not known to be inert",
        why: "\
Loading imports this name, or calls it. It is on no list: neither shown to be harmless nor known to do harm.
Classes of one's own code look like this. Only names whose effect is known may count as clean, because every
list of bad names has gaps. The configuration of a Keras model names classes and functions in the same
way; those of Keras itself are known. High where the name is suspicious by its form or module.",
        example: "\
pickle imports mylab.models.Net, which is not known to be inert

Accepted in modelscan.toml:
[[allow]]
module = \"mylab.models\"
name = \"Net\"
reason = \"our own class; __init__ and __setstate__ only keep values\"",
        help: "ask for safetensors, or read the code of that name; if loading it is harmless, add these four lines to modelscan.toml: `[[allow]]`, `module = \"the.module\"`, `name = \"TheName\"`, `reason = \"why it is harmless\"` (it then passes the gate, and stays unproven)",
    },
    RuleInfo {
        id: "unsafe-callable",
        severity: Severity::Critical,
        summary: "a pickle or configuration uses a function that does harm",
        why: "\
Loading this file imports or calls something that runs commands or code, or hands over a function that does.
That happens while it is loaded, before any weight can be used. High where it reads or writes files, opens
connections or drives another function. In the configuration of a Keras model it is a Lambda layer, whose
function is byte code, or a function that Keras looks up by its name.",
        example: "\
class Payload:
    def __reduce__(self):
        return os.system, ('id',)

{\"class_name\": \"function\", \"module\": \"keras.utils\", \"config\": \"get_file\"}",
        help: "do not load it. Delete it, tell where you have it from, and if it was loaded already, treat that machine as taken over; ask the publisher for the weights as safetensors",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::rule::facts;
    use crate::observe::fact::{Deviation, Fact, Unread};

    /// Everything that makes a concern.
    const SOURCES: [&str; 4] =
        [include_str!("calls.rs"), include_str!("configured.rs"), include_str!("facts.rs"), include_str!("mod.rs")];

    /// Words joined by single hyphens.
    fn kebab(id: &str) -> bool {
        id.split('-').all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
    }

    /// The literals of a source that are rule ids: those of several words, and the first of each `RawFinding`.
    fn ids(source: &str) -> Vec<&str> {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut found = Vec::new();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let literals: Vec<_> = line.split('"').skip(1).step_by(2).filter(|text| kebab(text)).collect();
            let made = line.contains("make(\"") || line.contains("RawFinding::at(");
            let known = literals.iter().enumerate().filter(|(index, id)| id.contains('-') || (made && *index == 0));
            found.extend(known.map(|(_, id)| *id));
        }
        found
    }

    #[test]
    fn pages_are_sorted_by_ids_that_are_kebab_case_and_stand_once() {
        assert!(rules().is_sorted_by(|one, next| one.id < next.id));
        for page in rules() {
            assert!(kebab(page.id), "{}", page.id);
        }
    }

    #[test]
    fn no_text_is_empty_and_each_fits_where_it_is_shown() {
        for RuleInfo { id, summary, why, example, help, .. } in rules() {
            for text in [summary, why, example, help] {
                assert!(!text.is_empty() && text.trim() == *text && !text.contains("```"), "{id}: {text:?}");
            }
            assert!(!summary.contains('\n') && summary.len() <= 70, "{id}: {summary}");
            // The report cuts a note at 400 characters and shows line breaks as escapes.
            assert!(!help.contains('\n') && help.len() <= 400 && !help.ends_with('.'), "{id}: {help}");
            assert!(why.lines().chain(example.lines()).all(|line| line.len() <= 110), "{id}");
        }
    }

    #[test]
    fn every_id_of_a_concern_has_a_page() {
        let used: Vec<_> = SOURCES.iter().flat_map(|source| ids(source)).collect();
        assert!(used.contains(&"polyglot") && used.contains(&"implicit-call") && used.len() > 20, "{used:?}");
        for id in used {
            assert!(rules().iter().any(|page| page.id == id), "{id} has no page");
        }
        assert!(!include_str!("arguments.rs").contains("RawFinding"), "then it belongs to SOURCES");
    }

    #[test]
    fn a_page_says_how_bad_the_findings_are() {
        let text = String::new;
        let facts = [
            Fact::ArchiveMismatch { what: text(), deviation: Deviation::Misleading },
            Fact::PathEscapes { path: text(), what: text() },
            Fact::ExternalReference { target: text(), what: text() },
            Fact::NameDisagrees { claimed: text(), found: text(), deviation: Deviation::Wrong },
            Fact::Polyglot { formats: vec![] },
            Fact::Executable { kind: "ELF" },
            Fact::EmbeddedProgram { what: text() },
            Fact::StructureViolation { what: text(), deviation: Deviation::Wrong },
            Fact::TrailingData { length: 1, what: text() },
            Fact::ObjectArray,
            Fact::Configured { module: None, name: "__lambda__".to_owned(), registered: None },
            Fact::Configured { module: None, name: "Mine".to_owned(), registered: None },
            Fact::Bomb { what: text() },
            Fact::SpecialFile { kind: "FIFO" },
        ];
        let raw_findings =
            facts.iter().filter_map(|fact| facts::fact(None, fact)).chain([facts::unread(None, &Unread::Encrypted)]);
        for raw_finding in raw_findings {
            let page = rules().iter().find(|page| page.id == raw_finding.rule);
            assert_eq!(page.map(|page| page.severity), Some(raw_finding.severity), "{}", raw_finding.rule);
        }
    }
}
