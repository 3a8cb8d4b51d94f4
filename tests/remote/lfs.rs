//! Git LFS pointers: the object is looked for in the repository's store and on its server. Without it the
//! pointer is not scanned. The server is a real one on loopback that speaks the batch API, well or badly.

use crate::models::{CLEAN, DANGEROUS, checkpoint, safetensors};
use crate::scan::{Outcome, scan, scan_here, scan_with};
use fixtures::server::{Reply, Request, Server, honest};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn oid(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pointer(oid: &str, size: usize) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
}

/// A repository made by hand, with files that are pointers.
struct Repository {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Repository {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let root = folder.path().canonicalize().expect("it is there");
        let repository = Self { _folder: folder, root };
        repository.write(".git/HEAD", "ref: refs/heads/main\n");
        repository.write(".git/config", "[core]\n\tbare = false\n");
        repository
    }

    fn with_remote(server: &Server) -> Self {
        let repository = Self::new();
        let url = server.url("/team/models.git");
        repository.write(".git/config", format!("[remote \"origin\"]\n\turl = {url}\n"));
        repository
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("folders can be made");
        fs::write(&path, content).expect("it can be written");
        path
    }

    /// A pointer to these bytes.
    fn points(&self, path: &str, bytes: &[u8]) -> String {
        text(&self.write(path, pointer(&oid(bytes), bytes.len())))
    }

    /// Puts an object into the local store.
    fn keeps(&self, bytes: &[u8]) {
        let oid = oid(bytes);
        self.write(&format!(".git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]), bytes);
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("it is text").to_owned()
}

fn artifact(outcome: &Outcome) -> &Value {
    assert_eq!(outcome.report["artifacts"].as_array().map(Vec::len), Some(1), "{}", outcome.report);
    &outcome.report["artifacts"][0]
}

/// Why the only pointer was not scanned.
fn unscanned(outcome: &Outcome) -> String {
    let artifact = artifact(outcome);
    assert_eq!(
        (outcome.code, &artifact["verdict"], &artifact["format"]),
        (2, &json!("not_scanned"), &json!("lfs-pointer"))
    );
    assert!(artifact.get("lfs").is_none());
    artifact["not_read"].to_string()
}

#[test]
fn an_object_of_the_local_store_is_scanned_in_place_of_its_pointer() {
    let repository = Repository::new();
    let bytes = safetensors(8 << 20);
    repository.keeps(&bytes);
    let path = repository.points("deep/in/m.safetensors", &bytes);
    let outcome = scan(&[&path]);
    let found = artifact(&outcome);
    assert_eq!((outcome.code, &found["verdict"], &found["format"]), (0, &json!("clean"), &json!("safetensors")));
    assert_eq!(found["lfs"], json!({"oid": oid(&bytes), "size": bytes.len(), "integrity": "size"}));
    assert_eq!((&found["path"], &found["size"]), (&json!(path), &json!(bytes.len())));
    assert!(outcome.bytes_read() < 80_000, "{}", outcome.bytes_read());
    let outcome = scan(&[&path, "--lfs-verify"]);
    assert_eq!(artifact(&outcome)["lfs"]["integrity"], "sha256");
    assert!(outcome.bytes_read() > bytes.len() as u64);
    let outcome = scan(&[&path, "--sha256"]);
    assert_eq!(
        (&artifact(&outcome)["lfs"]["integrity"], &artifact(&outcome)["sha256"]),
        (&json!("sha256"), &json!(oid(&bytes)))
    );
    assert!(unscanned(&scan(&[&path, "--lfs", "skip"])).contains("git lfs pull"));
}

#[test]
fn harm_in_an_object_is_found_at_its_pointer() {
    let repository = Repository::new();
    repository.keeps(DANGEROUS);
    let path = repository.points("a.pkl", DANGEROUS);
    let outcome = scan(&[&path]);
    assert_eq!((outcome.code, &artifact(&outcome)["verdict"]), (1, &json!("dangerous")));
}

#[test]
fn an_object_that_is_not_the_one_is_not_scanned() {
    let repository = Repository::new();
    let path = repository.points("a.pkl", CLEAN);
    assert!(unscanned(&scan(&[&path])).contains("not in the local store"));
    let id = oid(CLEAN);
    let place = format!(".git/lfs/objects/{}/{}/{id}", &id[..2], &id[2..4]);
    repository.write(&place, &CLEAN[..5]);
    assert!(unscanned(&scan(&[&path])).contains("has 5 bytes and not"));
    let mut other = CLEAN.to_vec();
    other[4] = b'J';
    let object = repository.write(&place, &other);
    for flag in ["--lfs-verify", "--sha256"] {
        assert!(unscanned(&scan(&[&path, flag])).contains("SHA-256"), "{flag}");
    }
    fs::remove_file(&object).expect("it is there");
    std::os::unix::fs::symlink(repository.write("elsewhere", CLEAN), &object).expect("links can be made");
    assert!(unscanned(&scan(&[&path])).contains("cannot be read"));
    let outside = tempfile::tempdir().expect("a folder can be made");
    let alone = outside.path().join("a.pkl");
    fs::write(&alone, pointer(&id, CLEAN.len())).expect("it can be written");
    assert!(unscanned(&scan(&[&text(&alone)])).contains("no git repository"));
}

#[test]
fn working_trees_and_moved_stores_are_found() {
    let repository = Repository::new();
    repository.keeps(CLEAN);
    repository.write(".git/worktrees/other/HEAD", "ref: refs/heads/other\n");
    repository.write(".git/worktrees/other/commondir", "../..\n");
    let beside = tempfile::tempdir().expect("a folder can be made");
    let git = repository.root.join(".git/worktrees/other");
    fs::write(beside.path().join(".git"), format!("gitdir: {}\n", git.display())).expect("it can be written");
    fs::write(beside.path().join("a.pkl"), pointer(&oid(CLEAN), CLEAN.len())).expect("it can be written");
    assert_eq!(scan(&[&text(&beside.path().join("a.pkl"))]).code, 0);

    let path = repository.points("a.pkl", CLEAN);
    fs::rename(repository.root.join(".git/lfs"), repository.root.join(".git/store")).expect("it can be moved");
    assert_eq!(scan(&[&path]).code, 2);
    repository.write(".git/config", "[lfs]\n\tstorage = store\n");
    assert_eq!(scan(&[&path]).code, 0);
    // Committed files do not decide that.
    repository.write(".git/config", "");
    repository.write(".lfsconfig", "[lfs]\n\tstorage = store\n");
    assert_eq!(scan(&[&path]).code, 2);
}

/// A server of objects: the batch API below the repository, the objects at another path, by ranges.
fn store(objects: &[&[u8]], change: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Server {
    let objects: HashMap<String, Vec<u8>> = objects.iter().map(|bytes| (oid(bytes), bytes.to_vec())).collect();
    let objects = Arc::new(objects);
    Server::start(move |request| {
        let reply = match request.target.strip_prefix("/store/") {
            Some(oid) => honest(&objects[oid.split('?').next().unwrap_or_default()], oid, request),
            None if request.target == "/team/models.git/info/lfs/objects/batch" => batch(&objects, request),
            None => Reply::new(404, ""),
        };
        change(request, reply)
    })
}

fn batch(objects: &HashMap<String, Vec<u8>>, request: &Request) -> Reply {
    let asked: Value = serde_json::from_slice(&request.body).expect("the question is JSON");
    assert_eq!((request.method.as_str(), &asked["operation"]), ("POST", &json!("download")));
    assert_eq!(request.header("accept"), Some("application/vnd.git-lfs+json"));
    let host = request.header("host").expect("every request has one");
    let list = asked["objects"].as_array().expect("it is a list");
    let answers: Vec<Value> = list
        .iter()
        .map(|object| {
            let oid = object["oid"].as_str().expect("an object has an oid");
            match objects.get(oid) {
                None => json!({"oid": oid, "size": object["size"], "error": {"code": 404, "message": "\u{1b}[31mno"}}),
                Some(bytes) => json!({"oid": oid, "size": bytes.len(), "authenticated": true, "actions": {"download": {
                    "href": format!("http://{host}/store/{oid}?sig=hidden"),
                    "header": {"X-Signed": "hidden-too", "Host": "elsewhere", "Range": "bytes=0-0"}, "expires_in": 600}}}),
            }
        })
        .collect();
    Reply::new(200, json!({"transfer": "basic", "objects": answers}).to_string())
}

fn honestly(_: &Request, reply: Reply) -> Reply {
    reply
}

#[test]
fn objects_are_fetched_by_ranges_with_one_question_for_all() {
    let bytes: Vec<Vec<u8>> = (0..10).map(|index| checkpoint(20 + index, 100_000)).collect();
    let server = store(&bytes.iter().map(Vec::as_slice).collect::<Vec<_>>(), honestly);
    let repository = Repository::with_remote(&server);
    for (index, bytes) in bytes.iter().enumerate() {
        repository.points(&format!("models/{index}.pt"), bytes);
    }
    let folder = text(&repository.root.join("models"));
    let outcome = scan_here(&folder, &["--lfs", "fetch"]);
    assert_eq!((outcome.code, &outcome.report["summary"]["clean"]), (0, &json!(10)), "{}", outcome.report);
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|request| request.method == "POST").count(), 1);
    for request in requests.iter().filter(|request| request.method == "GET") {
        assert_eq!(request.header("x-signed"), Some("hidden-too"));
        assert_eq!(request.header("host"), Some(server.address.to_string().as_str()));
        assert_ne!(request.range(), Some((0, 0)));
    }
    let all: usize = bytes.iter().map(Vec::len).sum();
    assert!(outcome.bytes_read() < all as u64 / 30, "{} of {all}", outcome.bytes_read());
    let lfs = &outcome.report["artifacts"][0]["lfs"];
    assert_eq!(lfs["integrity"], "range");
    assert!(!outcome.report.to_string().contains("hidden"));
}

#[test]
fn without_ranges_the_whole_object_is_hashed() {
    let server = store(&[DANGEROUS], |request, reply| match request.method.as_str() {
        "GET" => Reply::new(200, DANGEROUS),
        _ => reply,
    });
    let repository = Repository::with_remote(&server);
    let path = repository.points("a.pkl", DANGEROUS);
    let outcome = scan_here(&path, &["--lfs", "fetch"]);
    assert_eq!((outcome.code, &artifact(&outcome)["lfs"]["integrity"]), (1, &json!("sha256")));
    let server = store(&[CLEAN], |request, reply| match request.method.as_str() {
        "GET" => Reply::new(200, [&CLEAN[..3], b"]K\x09", &CLEAN[6..]].concat()),
        _ => reply,
    });
    let repository = Repository::with_remote(&server);
    let path = repository.points("a.pkl", CLEAN);
    assert!(unscanned(&scan_here(&path, &["--lfs", "fetch"])).contains("the SHA-256 of the server's object"));
}

#[test]
fn who_wants_the_hash_has_the_fetched_object_hashed() {
    let bytes = safetensors(200_000);
    let server = store(&[&bytes], honestly);
    let repository = Repository::with_remote(&server);
    let path = repository.points("a.safetensors", &bytes);
    for flag in ["--sha256", "--lfs-verify"] {
        let outcome = scan_here(&path, &["--lfs", "fetch", flag]);
        assert_eq!((outcome.code, &artifact(&outcome)["lfs"]["integrity"]), (0, &json!("sha256")));
    }
    // The bytes that are hashed are the bytes that are judged.
    let gets = server.requests().into_iter().filter(|request| request.method == "GET");
    assert!(gets.map(|request| request.range()).eq([None, None]));
    let mut other = bytes.clone();
    *other.last_mut().expect("it has bytes") = 1;
    let server = store(&[&bytes], move |request, reply| match request.method.as_str() {
        "GET" => honest(&other, "v1", request),
        _ => reply,
    });
    let repository = Repository::with_remote(&server);
    let path = repository.points("a.safetensors", &bytes);
    // Ranges cannot show it, and the report says so; the hash shows it.
    assert_eq!(artifact(&scan_here(&path, &["--lfs", "fetch"]))["lfs"]["integrity"], "range");
    assert!(unscanned(&scan_here(&path, &["--lfs", "fetch", "--sha256"])).contains("SHA-256"));
}

#[test]
fn what_the_server_does_not_give_is_not_scanned() {
    let refused = |objects: &[&[u8]], change: fn(&Request, Reply) -> Reply| {
        let server = store(objects, change);
        let repository = Repository::with_remote(&server);
        let path = repository.points("a.pkl", CLEAN);
        unscanned(&scan_here(&path, &["--lfs", "fetch", "--limit-remote-stall", "400ms"]))
    };
    assert!(refused(&[], honestly).contains("does not have it"));
    assert!(
        refused(&[CLEAN], |request, reply| if request.method == "GET" { Reply::new(403, "") } else { reply })
            .contains("403")
    );
    assert!(
        refused(&[CLEAN], |request, reply| if request.method == "POST" { Reply::new(401, "") } else { reply })
            .contains("401")
    );
    for (answer, why) in [
        ("no json", "no batch"),
        ("{}", "says nothing"),
        (r#"{"transfer": "custom", "objects": []}"#, "another transfer"),
    ] {
        let server = store(&[CLEAN], move |_, _| Reply::new(200, answer));
        let repository = Repository::with_remote(&server);
        let path = repository.points("a.pkl", CLEAN);
        assert!(unscanned(&scan_here(&path, &["--lfs", "fetch"])).contains(why), "{answer}");
    }
    // Another size than the pointer's.
    let longer = |request: &Request, reply| match request.method.as_str() {
        "GET" => honest(&safetensors(100), "v1", request),
        _ => reply,
    };
    assert!(refused(&[CLEAN], longer).contains("bytes and not"));
}

#[test]
fn an_action_leads_where_addresses_may_lead_only() {
    for href in ["file:///etc/passwd", "/relative", "ftp://x/y"] {
        let body = json!({"objects": [{"oid": oid(CLEAN), "actions": {"download": {"href": href}}}]}).to_string();
        let server = Server::start(move |_| Reply::new(200, body.clone()));
        let repository = Repository::with_remote(&server);
        let path = repository.points("a.pkl", CLEAN);
        assert!(unscanned(&scan_here(&path, &["--lfs", "fetch"])).contains("but not so"), "{href}");
    }
}

#[test]
fn nothing_is_fetched_unless_asked_and_what_is_here_is_not_fetched() {
    let server = store(&[CLEAN], honestly);
    let repository = Repository::with_remote(&server);
    let path = repository.points("a.pkl", CLEAN);
    assert!(unscanned(&scan(&[&path])).contains("--lfs fetch"));
    repository.keeps(CLEAN);
    let outcome = scan_here(&path, &["--lfs", "fetch"]);
    assert_eq!((outcome.code, &artifact(&outcome)["lfs"]["integrity"]), (0, &json!("size")));
    assert!(server.requests().is_empty());
    // Plain http and loopback are for those who ask, here too.
    let repository = Repository::with_remote(&server);
    let path = repository.points("a.pkl", CLEAN);
    assert!(unscanned(&scan(&[&path, "--lfs", "fetch"])).contains("--allow-http"));
    assert!(unscanned(&scan(&[&path, "--lfs", "fetch", "--allow-http"])).contains("--allow-private"));
    assert!(server.requests().is_empty());
}

#[test]
fn a_committed_setting_leads_to_no_other_host_and_gets_no_secret() {
    let server = store(&[CLEAN], honestly);
    let repository = Repository::new();
    repository.write(".git/config", "[remote \"origin\"]\n\turl = git@github.example:a/b.git\n");
    let url = server.url("/team/models.git/info/lfs");
    repository.write(".lfsconfig", format!("[lfs]\n\turl = {url}\n"));
    let path = repository.points("a.pkl", CLEAN);
    let outcome = scan_here(&path, &["--lfs", "fetch"]);
    assert!(unscanned(&outcome).contains(".lfsconfig names the server"));
    assert!(server.requests().is_empty());
    let variables = [("GITHUB_TOKEN", "hidden"), ("GITHUB_SERVER_URL", "https://github.example")];
    let outcome =
        scan_with(&["--allow-http", "--allow-private", "--lfs", "fetch", "--lfs-url", &url, &path], &variables);
    assert_eq!(outcome.code, 0, "{}", outcome.report);
    assert!(server.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn every_report_says_what_was_not_verified_and_points_at_the_pointer() {
    let repository = Repository::new();
    repository.keeps(DANGEROUS);
    let path = repository.points("a.pkl", DANGEROUS);
    let out = |format: &str| {
        let file = repository.root.join(format!("r.{format}"));
        scan(&[&path, &format!("--output={format}={}", file.display())]);
        fs::read_to_string(file).expect("it was written")
    };
    for format in ["text", "markdown", "html"] {
        assert!(out(format).contains("1 taken from the local store; no hash was compared"), "{format}");
    }
    let sarif: Value = serde_json::from_str(&out("sarif")).expect("it is JSON");
    let run = &sarif["runs"][0];
    assert_eq!(run["artifacts"][0]["properties"]["lfs"]["integrity"], "size");
    let region = &run["results"][0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!((&region["startLine"], region.get("byteOffset")), (&json!(2), None));
    assert!(out("github").contains("line=2"));
    // A bill of materials has the hash, so the object is hashed.
    assert!(out("cyclonedx").contains(&oid(DANGEROUS)));
}
