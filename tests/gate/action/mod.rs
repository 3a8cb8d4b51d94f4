//! The GitHub Action, step by step over real repositories with pull requests in them. What the runner would obey is read as the runner
//! reads it; the server for uploads is one on loopback. Only GitHub itself is not here.

mod job;
mod server;

use crate::repository::{BAD, GOOD, Repository};
use job::{Done, Job, here};
use serde_json::Value;
use server::Server;
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The job for the pull request that the branch `change` is, from the repository itself.
fn pull_request(repository: &Repository) -> Job {
    let head = repository.commit();
    let mut job = Job::new(&repository.dir, "pull_request");
    job.set("GITHUB_REF", "refs/pull/7/merge").set("GITHUB_SHA", &head);
    for (name, value) in [
        ("base.sha", repository.id("main").as_str()),
        ("head.sha", head.as_str()),
        ("head.repo.full_name", "owner/models"),
        ("number", "7"),
    ] {
        job.context.insert(format!("github.event.pull_request.{name}"), value.to_owned());
    }
    job
}

fn repository(name: &str) -> Repository {
    Repository::new(&format!("action-{name}"), &[("old.pkl", BAD)])
}

fn oid(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_clean_pull_request_passes() {
    let here = repository("clean");
    here.write("new.pkl", GOOD);
    let done = pull_request(&here).run();
    assert_eq!((done.code, &done.failed), (0, &None), "{}", done.log);
    let expected = [("verdict", "clean"), ("exit-code", "0"), ("files", "1"), ("clean", "1"), ("dangerous", "0")];
    for (name, value) in expected {
        assert_eq!(done.outputs[name], value, "{name}");
    }
    assert!(done.summary.starts_with("# modelscan: clean"), "{}", done.summary);
    assert!(!done.told("::error") && !done.told("::warning"), "{:?}", done.obeyed);
    assert_eq!(json(&done.outputs["report"])["artifacts"][0]["path"], "new.pkl");
    assert!(fs::read_to_string(&done.outputs["html"]).unwrap().contains("new.pkl"));
    // No model at all is well too.
    let nothing = pull_request(&repository("nothing")).run();
    assert_eq!((nothing.code, nothing.outputs["verdict"].as_str()), (0, "not_scanned"), "{}", nothing.log);
    assert!(nothing.summary.contains("Nothing of a known format has changed"), "{}", nothing.summary);
}

#[test]
fn a_malicious_pull_request_fails_and_is_annotated() {
    let here = repository("malicious");
    here.write("models/bad.pkl", BAD);
    let done = pull_request(&here).run();
    assert_eq!((done.code, done.failed.as_deref()), (1, Some("Gate")), "{}", done.log);
    assert!(done.told("::error file=models/bad.pkl,line=1,title=modelscan%3A unsafe-callable"), "{:?}", done.obeyed);
    assert!(done.told("a finding fails the gate"), "{:?}", done.obeyed);
    assert!(done.summary.contains("echo loaded") && done.log.contains("posix.system"), "{}", done.log);
    assert_eq!((done.outputs["verdict"].as_str(), done.outputs["dangerous"].as_str()), ("dangerous", "1"));
    let sarif = json(&done.outputs["sarif"]);
    let location = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(location["uri"], "models/bad.pkl");
    let mut quiet = pull_request(&here);
    let quiet = quiet.input("annotations", "false").input("summary", "false").run();
    assert_eq!((quiet.code, quiet.told("::error file="), quiet.summary.as_str()), (1, false, ""));
}

#[test]
fn a_pull_request_cannot_accept_itself() {
    let here = repository("accepts");
    here.write("bad.pkl", BAD);
    assert_eq!(here.modelscan("", &["baseline", "create", "-o", "known.json", "bad.pkl"]).code, Some(0));
    here.write("modelscan.toml", b"[[ignore]]\npath = \"**\"\nreason = \"mine\"\n");
    here.write(".gitignore", b"*.pkl\n");
    here.git(&["add", "--force", "bad.pkl"]);
    let done = pull_request(&here).run();
    assert_eq!((done.code, done.failed.as_deref()), (1, Some("Gate")), "{}", done.log);
    for (input, file) in [("baseline", "known.json"), ("config", "modelscan.toml")] {
        let done = pull_request(&here).input(input, file).run();
        assert_eq!((done.code, done.failed.as_deref()), (4, Some("Gate")), "{input}: {}", done.log);
    }
}

#[test]
fn hostile_names_command_nothing() {
    let here = repository("names");
    let names = [
        "a\n::error::injected.pkl",
        "b%0A::notice::injected.pkl",
        "c\r::set-output name=verdict::injected.pkl",
        "::stop-commands::injected.pkl",
        "##[error]injected.pkl",
        "e,line=9::injected.pkl",
        "f\nverdict<<x\ninjected\nx\n.pkl",
        "`]|<img src=x>@all.pkl",
    ];
    for name in names {
        here.write(name, BAD);
    }
    let done = pull_request(&here).run();
    assert_eq!((done.code, done.outputs["verdict"].as_str()), (1, "dangerous"), "{}", done.log);
    assert_eq!(done.outputs["files"], names.len().to_string());
    for command in &done.obeyed {
        let ours = ["::error file=", "::error title=modelscan::", "::notice title=modelscan::"];
        assert!(ours.iter().any(|start| command.starts_with(start)), "{command}");
    }
    assert!(!done.summary.contains("\n::") && !done.summary.contains("\nverdict"), "{}", done.summary);
}

#[test]
fn a_pointer_is_judged_by_its_object_and_fails_without() {
    for (name, object, code) in [("absent", None, 2), ("good", Some(GOOD), 0), ("bad", Some(BAD), 1)] {
        let here = repository(&format!("lfs-{name}"));
        let bytes = object.unwrap_or(GOOD);
        let oid = oid(bytes);
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {}\n", bytes.len());
        here.write("model.pkl", pointer.as_bytes());
        if let Some(bytes) = object {
            here.write(format!(".git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]), bytes);
        }
        let done = pull_request(&here).run();
        assert_eq!((done.code, done.outputs["exit-code"].clone()), (code, code.to_string()), "{name}: {}", done.log);
        // The line of the pointer that is in the diff.
        assert_eq!(done.told("file=model.pkl,line=2"), code != 0, "{name}: {:?}", done.obeyed);
    }
}

#[test]
fn the_token_goes_to_a_scan_that_fetches_and_to_no_other() {
    let here = repository("token");
    let program = here.dir.parent().unwrap().join("telling");
    fs::write(&program, "#!/bin/sh\nenv\necho \"$@\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut job = pull_request(&here);
    job.input("binary", program.to_str().unwrap()).input("upload-sarif", "false").input("cache", "/kept");
    let local = job.run().log;
    assert!(local.contains("--lfs=local --cache=/kept") && !local.contains("s3cret"), "{local}");
    let fetch = job.input("lfs", "fetch").run().log;
    assert!(fetch.contains("--lfs=fetch") && fetch.contains("GITHUB_TOKEN=s3cret"), "{fetch}");
    assert!(!fetch.contains("GATE_TOKEN"), "{fetch}");
}

#[test]
fn a_push_is_scanned_as_a_whole() {
    let here = repository("push");
    let mut job = Job::new(&here.dir, "push");
    job.set("GITHUB_SHA", &here.id("HEAD")).input("upload-sarif", "false");
    let done = job.run();
    assert_eq!((done.code, done.told("file=old.pkl")), (1, true), "{}", done.log);
    here.write("models/good.pkl", GOOD);
    here.write("more/good.pkl", GOOD);
    let done = job.input("paths", "models\n\nmore\r\n").run();
    assert_eq!((done.code, done.outputs["clean"].as_str()), (0, "2"), "{}", done.log);
    assert_eq!(job.input("fail-on", "sometimes").run().code, 4);
    assert_eq!(job.input("fail-on", "").input("mode", "changed").run().code, 1);
    let done = job.input("base", "main").run();
    assert_eq!((done.code, done.outputs["clean"].as_str()), (0, "2"), "{}", done.log);
}

fn uploaded(server: &Server) -> Vec<(String, Value)> {
    let asked = server.asked.lock().unwrap();
    asked.iter().map(|(head, body)| (head.clone(), serde_json::from_slice(body).unwrap())).collect()
}

#[test]
fn the_sarif_file_is_uploaded_without_what_is_accepted() {
    let here = repository("upload");
    here.git(&["checkout", "--quiet", "main"]);
    here.write("modelscan.toml", b"[[ignore]]\npath = \"known.pkl\"\nreason = \"ours\"\n");
    here.commit();
    here.git(&["checkout", "--quiet", "-B", "change"]);
    here.write("known.pkl", BAD);
    here.write("bad.pkl", BAD);
    let server = Server::new("202 Accepted", b"{}".to_vec());
    let mut job = pull_request(&here);
    let done = job.set("GITHUB_API_URL", &server.url).run();
    assert_eq!(done.code, 1, "{}", done.log);
    let asked = uploaded(&server);
    let [(head, body)] = asked.as_slice() else { panic!("one request, not {asked:?}") };
    assert!(head.starts_with("POST /repos/owner/models/code-scanning/sarifs HTTP/1.1"), "{head}");
    assert!(head.contains("Authorization: Bearer s3cret"), "{head}");
    assert_eq!(
        (body["ref"].as_str(), body["commit_sha"].as_str()),
        (Some("refs/pull/7/merge"), Some(&*here.id("HEAD")))
    );
    // What GitHub unpacks.
    let packed = here.dir.parent().unwrap().join("packed");
    fs::write(&packed, body["sarif"].as_str().unwrap()).unwrap();
    let unpack = format!("base64 --decode < '{}' | gzip --decompress", packed.display());
    let unpacked = std::process::Command::new("sh").args(["-c", &unpack]).output().unwrap();
    let sarif: Value = serde_json::from_slice(&unpacked.stdout).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(!results.is_empty() && !sarif.to_string().contains("\"ours\""));
    let uri = |result: &Value| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
    assert!(results.iter().all(|result| uri(result) == "bad.pkl"), "{results:?}");
    assert!(!done.log.contains("s3cret"));
    // A checkout of the head in place of the merge.
    let other = "0".repeat(40);
    job.set("GITHUB_SHA", &other).run();
    assert_eq!(uploaded(&server)[1].1["ref"], "refs/pull/7/head");
}

#[test]
fn where_the_token_may_not_write_the_gate_holds_all_the_same() {
    let here = repository("fork");
    here.write("bad.pkl", BAD);
    let server = Server::new("202 Accepted", b"{}".to_vec());
    let mut job = pull_request(&here);
    job.context.insert("github.event.pull_request.head.repo.full_name".into(), "somebody/models".into());
    let done = job.set("GITHUB_API_URL", &server.url).run();
    assert_eq!((done.code, done.failed.as_deref()), (1, Some("Gate")), "{}", done.log);
    assert!(
        done.told("::notice title=modelscan::the SARIF file was not uploaded: this pull request comes from a fork")
    );
    assert_eq!(uploaded(&server).len(), 0);
    let refuses = Server::new("403 Forbidden", b"{}".to_vec());
    let mut job = pull_request(&here);
    let done = job.set("GITHUB_API_URL", &refuses.url).run();
    assert_eq!((done.failed.as_deref(), done.told("security-events: write")), (Some("Gate"), true), "{}", done.log);
    let must = job.input("upload-sarif", "true").run();
    assert_eq!((must.code, must.failed.as_deref()), (1, Some("Upload to code scanning")), "{}", must.log);
}

/// A true checkpoint.
fn weights() -> Vec<u8> {
    fs::read(job::here().join("fixtures/clean/torch/torch215/training.pt")).unwrap()
}

#[test]
fn clean_files_are_converted() {
    let here = repository("convert");
    here.write("m/a\n::error::b.pt", &weights());
    here.write("empty.pkl", GOOD);
    let done = pull_request(&here).input("convert", "true").run();
    assert_eq!(done.code, 0, "{}", done.log);
    let made = Path::new(&done.outputs["converted"]).join("m/a\n::error::b.pt.safetensors");
    assert!(fs::metadata(made).unwrap().len() > 100);
    assert!(done.told("1 clean files were converted; 1 hold no weights"), "{:?}", done.obeyed);
    assert!(!done.told("::error"), "{:?}", done.obeyed);
    assert!(!here.dir.join("m/a\n::error::b.pt.safetensors").exists());
}

/// Why there is no sandbox, if there is none. The gate must then have failed.
fn without_sandbox(done: &Done) -> Option<String> {
    if !done.told("the sandbox could not be set up") {
        return None;
    }
    assert_eq!((done.code, done.failed.as_deref()), (1, Some("Gate")), "{}", done.log);
    let why: Vec<&str> = done.log.lines().filter(|line| line.starts_with("modelscan run:")).collect();
    assert!(!why.is_empty(), "{}", done.log);
    Some(why.join("; "))
}

#[test]
fn the_evaluation_runs_inside_walls() {
    let here = repository("evaluate");
    here.write("models/good.pkl", GOOD);
    here.write("models/w.pt", &weights());
    here.write("score.sh", b"#!/bin/sh\n");
    std::os::unix::fs::symlink("/etc", here.dir.join("way")).unwrap();
    let mut job = pull_request(&here);
    job.input("paths", "models").input("upload-sarif", "false");
    let weaker = "--allow-weaker\nmemory\n--allow-weaker\npids\n--allow-weaker\ncpus\n--allow-weaker\ndevices";
    job.input("evaluate-options", weaker);
    job.input("convert", "true");
    job.input("evaluate", "ls -a /in; ls -l /converted/models; cat /converted/models/* > /dev/null && cat /in/models/good.pkl > /out/seen; printf '::error::injected\\n'");
    let done = job.run();
    if let Some(why) = without_sandbox(&done) {
        return fixtures::skip(fixtures::Need::Sandbox, why);
    }
    assert_eq!(done.code, 0, "{}", done.log);
    assert!(!done.told("injected") && done.log.contains("::error::injected"), "{:?}", done.obeyed);
    assert!(done.log.contains("\nmodels\n") && done.log.contains(" w.pt.safetensors\n"), "{}", done.log);
    assert!(!done.log.contains("\n.git\n") && !done.log.contains("\nway\n"), "{}", done.log);
    let left = Path::new(&done.outputs["evaluation"]);
    assert_eq!(fs::read(left.join("out/seen")).unwrap(), GOOD);
    assert_eq!(json(left.join("run.json").to_str().unwrap())["outcome"], "exited");
    let done = job.input("evaluate", "exit 7").run();
    assert_eq!((done.code, done.failed.as_deref()), (1, Some("Gate")), "{}", done.log);
    assert!(done.told("the evaluation failed with code 7"));
    // What did not pass is not run, and walls are not chosen by the pull request.
    here.write("models/bad.pkl", BAD);
    here.write("open.toml", b"");
    let mut job = pull_request(&here);
    job.input("paths", "models").input("upload-sarif", "false").input("evaluate", "echo ran > /out/ran");
    let done = job.run();
    assert_eq!((done.code, done.told("nothing was evaluated")), (1, true), "{}", done.log);
    fs::remove_file(here.dir.join("models/bad.pkl")).unwrap();
    for profile in ["open.toml", "./open.toml", here.dir.join("open.toml").to_str().unwrap()] {
        let done =
            pull_request(&here).input("paths", "models").input("evaluate", "true").input("profile", profile).run();
        assert_eq!(done.failed.as_deref(), Some("Evaluate"), "{profile}: {}", done.log);
    }
}

#[test]
fn walls_that_cannot_be_had_fail_the_gate_and_say_why() {
    let here = repository("walls");
    here.write("good.pkl", GOOD);
    let program = here.dir.parent().unwrap().join("wall-less");
    let real = env!("CARGO_BIN_EXE_modelscan");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != run ] || {{ echo 'modelscan run: no namespaces here' >&2; exit 125; }}\nexec '{real}' \"$@\"\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let done = pull_request(&here).input("binary", program.to_str().unwrap()).input("evaluate", "true").run();
    assert_eq!(without_sandbox(&done).as_deref(), Some("modelscan run: no namespaces here"), "{}", done.log);
    assert_eq!(done.outputs["exit-code"], "0");
}

#[test]
fn only_a_command_that_is_not_the_pull_requests_runs() {
    let here = repository("command");
    let stops = |job: &Job, why: &str| {
        let done = job.run();
        assert_eq!((done.code, done.failed.as_deref()), (1, Some("Get modelscan")), "{}", done.log);
        assert!(done.told(why), "{:?}", done.obeyed);
    };
    let canary = here.dir.parent().unwrap().join("canary");
    let evil = here.dir.join("modelscan");
    fs::write(&evil, format!("#!/bin/sh\ntouch '{}'\n", canary.display())).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let mut job = pull_request(&here);
    stops(job.input("binary", "/nonexistent/modelscan"), "there is no program");
    stops(job.input("binary", "modelscan"), "give an absolute path");
    stops(job.input("binary", evil.to_str().unwrap()), "it lies in the workspace");
    std::os::unix::fs::symlink(&evil, here.dir.parent().unwrap().join("way")).unwrap();
    stops(job.input("binary", here.dir.parent().unwrap().join("way").to_str().unwrap()), "it lies in the workspace");
    // Built with a configuration of cargo that the pull request brings.
    here.write("gate/Cargo.toml", b"");
    here.write(".cargo/config.toml", b"[build]\nrustc-wrapper = \"../modelscan\"\n");
    job.input("binary", "").set("GITHUB_ACTION_PATH", here.dir.join("gate").to_str().unwrap());
    let scripts = here.dir.join("gate/.github");
    fs::create_dir_all(&scripts).unwrap();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(job::here().join(".github/action")).arg(&scripts).status();
    assert!(copied.unwrap().success());
    stops(&job, ".cargo would decide how this action is built");
    let mut target = Job::new(&here.dir, "pull_request_target");
    stops(target.set("GITHUB_SHA", &here.id("HEAD")), "use pull_request");
    assert!(!canary.exists());
}

#[test]
fn the_command_is_built_from_the_source_of_the_action_or_downloaded_by_its_hash() {
    let here = repository("get");
    here.write("new.pkl", GOOD);
    let folder = here.dir.parent().unwrap().join("tools");
    fs::create_dir(&folder).unwrap();
    // A cargo that records its arguments and copies the program that is built already.
    let script = format!(
        "#!/bin/sh\necho \"cargo $* in $PWD\"\nmkdir -p \"$CARGO_TARGET_DIR/release\"\ncp '{}' \"$CARGO_TARGET_DIR/release/\"\n",
        env!("CARGO_BIN_EXE_modelscan")
    );
    fs::write(folder.join("cargo"), script).unwrap();
    fs::set_permissions(folder.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut job = pull_request(&here);
    job.input("binary", "").input("upload-sarif", "false");
    job.set("PATH", &format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
    let done = job.run();
    assert_eq!(done.code, 0, "{}", done.log);
    let expected = format!("cargo build --release --locked --bin modelscan in {}", job::here().display());
    assert!(done.log.contains(&expected), "{}", done.log);
    let program = fs::read(env!("CARGO_BIN_EXE_modelscan")).unwrap();
    let hash = oid(&program);
    let server = Server::new("200 OK", program);
    let done = job.input("download", &server.url).input("sha256", &hash).run();
    assert_eq!((done.code, done.outputs["verdict"].as_str()), (0, "clean"), "{}", done.log);
    for (hash, why) in [(oid(b"other"), "is not the one that was given"), (String::new(), "give its sha256")] {
        let done = job.input("sha256", &hash).run();
        assert_eq!((done.failed.as_deref(), done.told(why)), (Some("Get modelscan"), true), "{}", done.log);
    }
}

#[test]
fn a_scan_that_dies_fails_the_gate() {
    let here = repository("dies");
    let program = here.dir.parent().unwrap().join("dying");
    fs::write(&program, "#!/bin/sh\n[ \"$1\" = --version ] || kill -9 $$\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut job = pull_request(&here);
    let done = job.input("binary", program.to_str().unwrap()).input("convert", "true").input("evaluate", "true").run();
    assert_eq!((done.code, done.failed.as_deref()), (1, Some("Gate")), "{}", done.log);
    assert!(done.told("the scan did not end as it should (137)"), "{:?}", done.obeyed);
}

#[test]
fn a_long_summary_is_cut_below_its_limit() {
    let here = repository("summary");
    let name = "long".repeat(40);
    for index in 0..2_500 {
        fs::write(here.dir.join(format!("{name}{index}.pkl")), BAD).unwrap();
    }
    let mut job = Job::new(&here.dir, "push");
    job.set("GITHUB_SHA", &here.id("HEAD")).input("upload-sarif", "false");
    let done = job.run();
    assert_eq!((done.code, done.outputs["dangerous"].as_str()), (1, "2501"));
    // The runner of this test fails above the limit.
    assert!(done.summary.len() > 500_000 && done.summary.contains("more findings have no room here"));
    assert_eq!(done.obeyed.iter().filter(|command| command.starts_with("::error file=")).count(), 10);
}

#[test]
fn the_scripts_are_programs() {
    for step in ["get", "scan", "upload", "convert", "evaluate", "gate"] {
        let script = here().join(format!(".github/action/{step}.sh"));
        assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o111, 0o111, "{step}");
        assert!(fs::read_to_string(&script).unwrap().starts_with("#!/usr/bin/env bash\n"), "{step}");
    }
}
