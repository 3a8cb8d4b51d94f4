//! Every format of report, made of the whole corpus by the real command, against the official schema of that format, what
//! its readers demand beyond it, and names that try to get out of their place.

use fixtures::{Corpus, Need};
use html5gum::{Token, Tokenizer};
use jsonschema::{Registry, Validator};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const FORMATS: [&str; 9] = ["text", "json", "jsonl", "sarif", "junit", "markdown", "html", "cyclonedx", "github"];

/// Names that would mean something in one of the formats.
const HOSTILE: [&str; 5] = [
    "<img src=x onerror=alert(1)>.pkl",
    "a`|[x](http:⁄⁄e.example)@all,line=9::y.pkl",
    "gpj.\u{202e}lkp",
    "]]>&#1;\u{1b}[31m\u{ffff}\n::error::x.pkl",
    "ä %41#?.pkl",
];

fn modelscan(dir: &Path, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelscan"));
    let output = command.args(args).current_dir(dir).env_clear().stdin(Stdio::null()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// A folder with all fixtures, files of real libraries and hostile names below `m`, and their reports beside it.
fn made() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
        _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("m")).unwrap();
        fs::create_dir_all(dir.join(".git")).unwrap();
        let corpus = Corpus::here();
        for (number, fixture) in corpus.fixtures().unwrap().iter().enumerate() {
            let folder = dir.join(format!("m/{number:04}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(fixture.saved_as()), corpus.build(&fixture.file).unwrap()).unwrap();
        }
        for name in ["torch/torch215/training.pt", "safetensors"] {
            let from = corpus.root().join("clean").join(name);
            assert!(from.exists(), "{name}");
            let files = if from.is_file() { vec![from] } else { walk(&from) };
            for (number, file) in files.iter().enumerate() {
                let to = dir.join(format!("m/real-{number}-{}", file.file_name().unwrap().to_str().unwrap()));
                _ = fs::copy(file, to).unwrap();
            }
        }
        for name in HOSTILE {
            fs::write(dir.join("m").join(name), "cposix\nsystem\n(S'\"><script>`|'\ntR.").unwrap();
        }
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 9\n", "ab".repeat(32));
        fs::write(dir.join("m/pointer.pt"), pointer).unwrap();
        let object = b"cposix\nsystem\n(S'true'\ntR.";
        let oid: String = Sha256::digest(object).iter().map(|byte| format!("{byte:02x}")).collect();
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {}\n", object.len());
        fs::write(dir.join("m/object.pkl"), pointer).unwrap();
        fs::write(dir.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        let store = dir.join(".git/lfs/objects").join(&oid[..2]).join(&oid[2..4]);
        fs::create_dir_all(&store).unwrap();
        fs::write(store.join(&oid), object).unwrap();
        fs::write(dir.join("m/README.md"), "# words\n").unwrap();
        let accept = "[[ignore]]\npath = \"m/0001/*\"\nreason = \"<b>known</b> `x`\"\n";
        fs::write(dir.join("modelscan.toml"), accept).unwrap();
        let outputs: Vec<String> = FORMATS.iter().map(|format| format!("--output={format}=r.{format}")).collect();
        let mut args = vec!["scan", "--quiet", "--show-suppressed", "m", "gone.pkl"];
        args.extend(outputs.iter().map(String::as_str));
        assert_eq!(modelscan(&dir, &args).0, 1);
        dir
    })
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn report(format: &str) -> String {
    fs::read_to_string(made().join(format!("r.{format}"))).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn schema_file(name: &str) -> Value {
    json(&fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/schemas").join(name)).unwrap())
}

fn own_schema(name: &str) -> Validator {
    let (code, text) = modelscan(Path::new("/"), &["schema", name]);
    assert_eq!(code, 0);
    jsonschema::validator_for(&json(&text)).unwrap()
}

#[track_caller]
fn assert_valid(validator: &Validator, value: &Value) {
    let wrong: Vec<String> =
        validator.iter_errors(value).take(5).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n").chars().take(3_000).collect::<String>());
}

#[test]
fn our_own_reports_keep_to_their_published_schemas() {
    assert_valid(&own_schema("scan"), &json(&report("json")));
    let line = own_schema("jsonl");
    report("jsonl").lines().for_each(|row| assert_valid(&line, &json(row)));
    let inspect = own_schema("inspect");
    let files = walk(&made().join("m"));
    for chunk in files.chunks(200) {
        let mut args = vec!["inspect", "--format", "json"];
        args.extend(chunk.iter().map(|path| path.to_str().unwrap()));
        let (_, text) = modelscan(made(), &args);
        assert!(!text.is_empty());
        text.lines().for_each(|row| assert_valid(&inspect, &json(row)));
    }
    _ = modelscan(made(), &["baseline", "create", "-o", "b.json", "--force", "m"]);
    let baseline = json(&fs::read_to_string(made().join("b.json")).unwrap());
    assert!(baseline["findings"].as_array().unwrap().len() > 100);
    assert_valid(&own_schema("baseline"), &baseline);
    let clean = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/clean/torch/torch215");
    let place = made().join("l.json");
    let args = ["lock", "-o", place.to_str().unwrap(), "--force", clean.to_str().unwrap()];
    let (code, printed) = modelscan(made(), &args);
    assert_eq!(code, 0, "{printed}");
    let lock = json(&fs::read_to_string(place).unwrap());
    assert!(lock["files"].as_array().unwrap().len() > 20);
    assert_valid(&own_schema("lock"), &lock);
}

#[test]
fn reports_of_convert_and_run_keep_to_their_published_schemas() {
    let dir = made();
    for (input, out, code) in [("m/real-0-training.pt", "w.safetensors", 0), ("m/README.md", "x.safetensors", 2)] {
        let report = dir.join("convert.json");
        let args = ["convert", input, "-o", out, "--sha256", "--report", report.to_str().unwrap()];
        let (found, _) = modelscan(dir, &args);
        assert_eq!(found, code, "{input}");
        assert_valid(&own_schema("convert"), &json(&fs::read_to_string(report).unwrap()));
    }
    if !cfg!(target_os = "linux") {
        fixtures::skip(Need::Machine, "the sandbox needs Linux, so there is no report of `run`");
        return;
    }
    let report = dir.join("run.json");
    _ = modelscan(dir, &["run", "--report", report.to_str().unwrap(), "--", "/bin/true"]);
    match fs::read_to_string(report) {
        Ok(text) => assert_valid(&own_schema("run"), &json(&text)),
        Err(error) => fixtures::skip(Need::Sandbox, format!("`run` wrote no report: {error}")),
    }
}

#[test]
fn schemas_are_strict_enough_to_be_worth_something() {
    let scan = own_schema("scan");
    let good = json(&report("json"));
    let spoil = |change: &dyn Fn(&mut Value)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(!scan.is_valid(&bad));
    };
    let with_findings =
        good["artifacts"].as_array().unwrap().iter().position(|one| one["findings"] != Value::Array(vec![])).unwrap();
    spoil(&|bad| bad["more"] = Value::Null);
    spoil(&|bad| bad["verdict"] = "fine".into());
    spoil(&|bad| bad["artifacts"][with_findings]["findings"][0]["offset"] = "28".into());
    spoil(&|bad| bad["artifacts"][with_findings]["findings"][0]["severty"] = "low".into());
    spoil(&|bad| _ = bad["artifacts"][with_findings].as_object_mut().unwrap().remove("not_read"));
}

#[test]
fn sarif_is_valid_and_has_what_code_scanning_demands() {
    let log = json(&report("sarif"));
    let validator = jsonschema::options().should_validate_formats(true).build(&schema_file("sarif-2.1.0.json"));
    assert_valid(&validator.unwrap(), &log);
    assert!(log["$schema"].is_string() && log["version"] == "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["automationDetails"]["id"], "modelscan/");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), scanner::rules().len());
    for rule in rules {
        for text in ["shortDescription", "fullDescription"] {
            assert!((1..=1024).contains(&rule[text]["text"].as_str().unwrap().chars().count()), "{rule}");
        }
        assert!(!rule["help"]["text"].as_str().unwrap().is_empty());
        let severity: f64 = rule["properties"]["security-severity"].as_str().unwrap().parse().unwrap();
        assert!(severity > 0.0 && severity <= 10.0);
        let tags = rule["properties"]["tags"].as_array().unwrap();
        assert!(tags.contains(&"security".into()) && tags.len() <= 10);
        assert!(["very-high", "high", "medium", "low"].contains(&rule["properties"]["precision"].as_str().unwrap()));
    }
    let artifacts = run["artifacts"].as_array().unwrap();
    let mut prints = BTreeSet::new();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 100);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let text = result["message"]["text"].as_str().unwrap();
        assert!(!text.is_empty() && text.len() < 5_000, "{text}");
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.starts_with('/') && !uri.contains(':'), "{uri}");
        assert!(uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"`|\\^{}".contains(&byte)), "{uri}");
        let index = usize::try_from(place["artifactLocation"]["index"].as_u64().unwrap()).unwrap();
        assert_eq!(artifacts[index]["location"]["uri"], uri);
        for key in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert!(place["region"][key].as_u64().unwrap() > 0);
        }
        let member = !result["properties"]["member"].is_null();
        assert_eq!(member, result["locations"][0].get("logicalLocations").is_some());
        assert!(!member || place["region"].get("byteOffset").is_none(), "an offset in a member is none in the file");
        let print = result["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap();
        assert!(prints.insert(print.to_owned()), "two alerts are told apart: {print}");
        assert!(print.starts_with(result["partialFingerprints"]["modelscan/v1"].as_str().unwrap()));
    }
    for artifact in artifacts {
        if let Some(parent) = artifact["parentIndex"].as_u64() {
            assert!(artifacts.get(usize::try_from(parent).unwrap()).is_some());
        }
    }
    let printed = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    let of = |id: &str| printed.iter().filter(|one| one["descriptor"]["id"] == id).count();
    assert_eq!((of("error"), run["invocations"][0]["executionSuccessful"].as_bool()), (1, Some(false)));
    assert!(of("not-read") > 5);
    let pointer = printed.iter().find(|one| one["message"]["text"].as_str().unwrap().contains("LFS pointer")).unwrap();
    assert_eq!(pointer["locations"][0]["physicalLocation"]["region"]["startLine"], 2);
    assert!(report("sarif").len() < 10 << 20);
}

#[test]
fn a_fingerprint_outlives_a_change_of_offsets_and_sizes() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fingerprints");
    fs::create_dir_all(&dir).unwrap();
    let print = |bytes: &str| {
        fs::write(dir.join("a.pkl"), bytes).unwrap();
        let log = json(&modelscan(&dir, &["scan", "--isolated", "--format", "sarif", "a.pkl"]).1);
        log["runs"][0]["results"][0]["partialFingerprints"].clone()
    };
    assert_eq!(print("cposix\nsystem\n(S'id'\ntR."), print("(lp0\n0cposix\nsystem\n(S'id; id'\ntR."));
}

#[test]
fn a_bill_of_materials_is_valid_and_has_hashes() {
    let bom = json(&report("cyclonedx"));
    let base = "http://cyclonedx.org/schema";
    let mut registry = Registry::new();
    for name in ["spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"] {
        registry = registry.add(format!("{base}/{name}"), schema_file(name)).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let validator = jsonschema::options().with_registry(&registry).build(&schema_file("cyclonedx-1.6.json")).unwrap();
    assert_valid(&validator, &bom);
    let components = bom["components"].as_array().unwrap();
    let named = |end: &str| components.iter().find(|one| one["name"].as_str().unwrap().ends_with(end)).unwrap();
    let real = named("training.pt");
    assert_eq!(real["type"], "machine-learning-model");
    assert_eq!(real["hashes"][0]["content"].as_str().unwrap().len(), 64);
    // The hash of a pointer is not the hash of the model.
    assert_eq!((&named("pointer.pt")["type"], named("pointer.pt").get("hashes")), (&"file".into(), None));
    assert_eq!(named("README.md")["type"], "file");
    assert_eq!(bom["compositions"][0]["aggregate"], "incomplete");
    assert!(bom.get("serialNumber").is_none() && bom["metadata"].get("timestamp").is_none());
}

#[test]
fn junit_is_valid_and_tells_failed_from_not_read() {
    let text = report("junit");
    let document = roxmltree::Document::parse(&text).unwrap();
    let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    let with = |tag: &str| cases.iter().filter(|case| case.children().any(|child| child.has_tag_name(tag))).count();
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    for (key, count) in [("tests", cases.len()), ("failures", with("failure")), ("errors", with("error"))] {
        assert_eq!(suite.attribute(key), Some(count.to_string().as_str()), "{key}");
        assert_eq!(document.root_element().attribute(key), Some(count.to_string().as_str()), "{key}");
    }
    assert_eq!(suite.attribute("skipped"), Some(with("skipped").to_string().as_str()));
    let json = json(&report("json"));
    assert_eq!(cases.len(), json["artifacts"].as_array().unwrap().len() + 1);
    assert!(with("failure") > 50 && with("error") > 2 && with("skipped") >= 1);
    let names: BTreeSet<_> = cases.iter().map(|case| (case.attribute("classname"), case.attribute("name"))).collect();
    assert_eq!(names.len(), cases.len(), "readers know a case by its names");
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/schemas/junit-10.xsd");
    let xmllint =
        Command::new("xmllint").args(["--noout", "--schema"]).arg(schema).arg(made().join("r.junit")).output();
    match xmllint {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => fixtures::skip(Need::Program, format!("xmllint checks the schema of JUnit: {error}")),
    }
}

#[test]
fn the_page_needs_nothing_and_runs_one_script() {
    let text = report("html");
    let (mut scripts, mut styles, mut policy, mut inside) = (Vec::new(), Vec::new(), String::new(), String::new());
    for token in Tokenizer::new(&text).flatten() {
        match token {
            Token::StartTag(tag) => {
                inside = String::from_utf8(tag.name.0).unwrap();
                let allowed =
                    ["html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "span", "p", "div", "table"];
                let more = [
                    "thead", "tbody", "tr", "th", "td", "button", "a", "code", "section", "dl", "dt", "dd", "pre", "b",
                    "ul", "li",
                ];
                assert!(
                    allowed.contains(&&*inside) || more.contains(&&*inside) || ["footer", "script"].contains(&&*inside),
                    "<{inside}>"
                );
                for (key, value) in tag.attributes {
                    let (key, value) = (String::from_utf8(key.0).unwrap(), String::from_utf8(value.value.0).unwrap());
                    assert!(!key.starts_with("on") && key != "src" && key != "style", "{key}={value}");
                    assert!(key != "href" || value.starts_with("#f"), "{value}");
                    if value.starts_with("default-src") {
                        policy = value;
                    }
                }
            }
            Token::EndTag(_) => inside.clear(),
            Token::String(printed) if inside == "script" => scripts.push(printed.value.0),
            Token::String(printed) if inside == "style" => styles.push(printed.value.0),
            Token::Error(error) => panic!("{}", error.value),
            _ => {}
        }
    }
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for (kind, parts) in [("script", scripts), ("style", styles)] {
        let hash = base64(&Sha256::digest(parts.concat()));
        assert!(policy.contains(&format!("{kind}-src 'sha256-{hash}'")), "the hash of the {kind} is now {hash}");
    }
    assert!(text.contains("<b>&lt;- posix.system("), "listings are annotated");
    let verdict = text.find("<h1>").unwrap();
    assert!(verdict < text.find("<table>").unwrap() && text.contains("<h1>modelscan: <span class=\"dangerous\">"));
    for (address, _) in text.match_indices("http") {
        let at = &text[address.saturating_sub(40)..(address + 60).min(text.len())];
        assert!(!text[..address].ends_with("href=\"") && !text[..address].ends_with("url("), "{at}");
    }
}

fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_usize, |word, byte| word << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            text.push(if place > chunk.len() { '=' } else { alphabet[word >> (18 - 6 * place) & 63] });
        }
    }
    text
}

#[test]
fn annotations_keep_to_the_limits_of_the_runner() {
    let text = report("github");
    for kind in ["error", "warning", "notice"] {
        assert!(text.lines().filter(|line| line.starts_with(&format!("::{kind} "))).count() <= 10);
    }
    assert!(text.lines().any(|line| line.contains("more have no annotation")));
    for line in text.lines().filter(|line| line.starts_with("::")) {
        let (properties, _) = line[2..].split_once("::").unwrap();
        let keys: Vec<_> = properties.split(',').map(|pair| pair.rsplit(' ').next().unwrap()).collect();
        assert_eq!(keys.len(), 3, "{line}");
        assert!(!properties.contains('\u{1b}'));
    }
}

#[test]
fn hostile_names_stay_in_their_place_in_every_format() {
    for format in FORMATS {
        let text = report(format);
        for hostile in ["\u{1b}", "\u{202e}", "\u{ffff}"] {
            assert!(!text.contains(hostile), "{format} has {hostile:?}");
        }
        if format != "github" {
            assert!(!text.lines().any(|line| line.starts_with("::")), "{format}");
        }
        if format == "markdown" {
            for line in text.lines().filter(|line| line.contains("<img") || line.contains("@all")) {
                let outside: String = line.split('`').step_by(2).collect();
                assert!(!outside.contains("<img") && !outside.contains("@all"), "{line}");
            }
        }
        if format == "html" {
            assert!(!text.contains("<img") && text.matches("<script>").count() == 1);
        }
    }
    assert!(report("markdown").len() < 1 << 20);
}

#[test]
fn what_is_accepted_is_marked_in_every_format() {
    let log = json(&report("sarif"));
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().all(|result| result["suppressions"].is_array()), "once one result says it, all do");
    let suppressed = results.iter().filter(|result| result["suppressions"][0]["kind"] == "external").count();
    assert!(suppressed > 0);
    assert!(report("junit").contains("accepted: &lt;b&gt;known"));
    assert!(report("markdown").contains("- accepted: `<b>known"));
    assert!(report("html").contains("<dt>Accepted</dt><dd>&lt;b&gt;known"));
    assert!(report("text").contains("= accepted: <b>known"));
    assert!(report("cyclonedx").contains("will_not_fix"));
    assert!(!report("github").contains("0001/"));
}

#[test]
fn every_format_is_the_same_to_the_byte_with_one_thread_or_many() {
    for format in FORMATS {
        let print = |jobs| modelscan(made(), &["scan", "--format", format, "--jobs", jobs, "m"]).1;
        assert!(print("1") == print("7"), "{format}");
    }
}
