//! Scanning addresses, against a real server on loopback, honest or not. A file that was not read is never clean, and secrets go to
//! their own host only.

use crate::models::{CLEAN, DANGEROUS, checkpoint, safetensors};
use crate::scan::{scan, scan_here, scan_with};
use fixtures::server::{Reply, Request, Server, honest};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

fn serving(bytes: Vec<u8>) -> Server {
    Server::start(move |request| honest(&bytes, "v1", request))
}

#[test]
fn a_large_file_is_judged_by_a_few_of_its_bytes() {
    for (name, bytes) in [("model.safetensors", safetensors(40 << 20)), ("model.pt", checkpoint(60, 150_000))] {
        let size = bytes.len() as u64;
        let server = serving(bytes);
        let outcome = scan_here(&server.url(&format!("/{name}?signature=secret#part")), &[]);
        assert_eq!((outcome.code, outcome.verdict()), (0, "clean"), "{}", outcome.report);
        assert_eq!(outcome.report["artifacts"][0]["path"], server.url(&format!("/{name}")).as_str());
        assert_eq!(outcome.report["artifacts"][0]["size"], size);
        assert!(outcome.bytes_read() > 0 && outcome.bytes_read() < size / 100, "{} of {size}", outcome.bytes_read());
        for request in server.requests() {
            assert_eq!((request.header("accept-encoding"), request.method.as_str()), (Some("identity"), "GET"));
            assert!(request.range().is_some() && request.target.ends_with("?signature=secret"));
        }
    }
}

#[test]
fn the_hash_in_a_report_is_that_of_the_bytes_that_were_judged() {
    let server = serving(DANGEROUS.to_vec());
    let outcome = scan_here(&server.url("/a.pkl"), &["--sha256"]);
    let hash: String = Sha256::digest(DANGEROUS).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((outcome.code, outcome.report["artifacts"][0]["sha256"].as_str()), (1, Some(hash.as_str())));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn harm_is_found_at_an_address_as_in_a_file() {
    let server = serving(DANGEROUS.to_vec());
    let outcome = scan_here(&server.url("/a.pkl"), &[]);
    assert_eq!((outcome.code, outcome.verdict()), (1, "dangerous"));
    assert_eq!(outcome.report["artifacts"][0]["findings"][0]["callable"], "posix.system");
    assert_eq!(outcome.bytes_read(), DANGEROUS.len() as u64);
}

#[test]
fn files_and_addresses_go_together_and_the_report_does_not_depend_on_threads() {
    let server = serving(checkpoint(20, 5000));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("bad.pkl");
    std::fs::write(&file, DANGEROUS).expect("it can be written");
    let (file, address) = (file.to_str().expect("it is text"), server.url("/m.pt"));
    let reports = ["1", "7"].map(|jobs| {
        let mut outcome = scan_here(&address, &["--jobs", jobs, file, &address]);
        assert_eq!((outcome.code, outcome.report["summary"]["artifacts"].as_u64()), (1, Some(2)));
        outcome.report["summary"]["bytes_read"].take();
        outcome.report
    });
    assert_eq!(reports[0], reports[1]);
}

#[test]
fn a_server_that_knows_no_ranges_is_read_whole_within_the_budget() {
    let bytes = safetensors(3 << 20);
    let size = bytes.len() as u64;
    let server = Server::start(move |_| Reply::new(200, bytes.clone()));
    let outcome = scan_here(&server.url("/w.safetensors"), &[]);
    assert_eq!((outcome.code, outcome.verdict(), outcome.bytes_read()), (0, "clean", size));
    let outcome = scan_here(&server.url("/w.safetensors"), &["--limit-remote-bytes", "1MiB"]);
    assert!(outcome.error().contains("as a whole") && outcome.error().contains("--limit-remote-bytes"));
    assert_eq!(outcome.bytes_read(), 0);
}

#[test]
fn a_server_whose_versions_cannot_be_told_apart_is_read_whole() {
    let bytes = safetensors(1 << 20);
    let size = bytes.len() as u64;
    for weak in [None, Some("W/\"v1\"")] {
        let bytes = bytes.clone();
        let server = Server::start(move |request| {
            let reply = honest(&bytes, "v1", request).without("ETag");
            weak.map_or(reply.clone(), |weak| reply.with("ETag", weak))
        });
        let outcome = scan_here(&server.url("/w.safetensors"), &[]);
        assert_eq!((outcome.code, outcome.bytes_read()), (0, size), "{}", outcome.report);
        assert!(server.requests().iter().any(|request| request.range().is_none()));
    }
}

#[test]
fn an_empty_file_is_not_scanned() {
    let outcome = scan_here(&serving(Vec::new()).url("/a.pkl"), &[]);
    assert_eq!((outcome.verdict(), outcome.report["artifacts"][0]["format"].as_str()), ("not_scanned", Some("empty")));
}

/// Answers honestly at first, and from the second question on as `change` does.
fn turning(bytes: Vec<u8>, change: impl Fn(Reply, &Request) -> Reply + Send + Sync + 'static) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |request| {
        let reply = honest(&bytes, "v1", request);
        if count.fetch_add(1, Relaxed) == 0 { reply } else { change(reply, request) }
    })
}

/// Scans a checkpoint of which the first answer is right and all others are not. It must not be clean, and the report gives the reason.
fn turned(change: impl Fn(Reply, &Request) -> Reply + Send + Sync + 'static, why: &str) {
    let server = turning(checkpoint(30, 20_000), change);
    let outcome = scan_here(&server.url("/m.pt"), &["--limit-remote-stall", "400ms"]);
    assert_eq!(outcome.code, 2, "{why}: {}", outcome.report);
    assert_ne!(outcome.report["verdict"], "clean", "{why}");
    assert!(outcome.report.to_string().contains(why), "{why}: {}", outcome.report);
}

#[test]
fn versions_are_never_mixed() {
    turned(|reply, _| reply.with("ETag", "\"v2\""), "the object changed");
    turned(|reply, _| reply.without("ETag"), "the object changed");
    turned(|_, request| honest(&checkpoint(30, 20_000), "v2", request), "the object changed");
    turned(|_, _| Reply::new(412, ""), "the object changed");
}

#[test]
fn lies_about_ranges_are_refused() {
    let size = checkpoint(30, 20_000).len();
    let range = |start: usize, end: usize, size: usize| format!("bytes {start}-{end}/{size}");
    let shifted = move |reply: Reply, request: &Request| {
        let (start, end) = request.range().expect("it asks for one");
        reply.with("Content-Range", range(start - 1, end.min(size - 1) - 1, size))
    };
    turned(shifted, "another range");
    let grown = move |reply: Reply, request: &Request| {
        let (start, end) = request.range().expect("it asks for one");
        reply.with("Content-Range", range(start, end.min(size - 1), size + 1))
    };
    turned(grown, "another range");
    turned(|reply, _| reply.without("Content-Range"), "does not say which range");
    turned(|reply, _| reply.with("Content-Range", "bytes */9"), "does not say which range");
    turned(
        |mut reply, _| {
            reply.body.pop();
            reply
        },
        "cuts its answer short",
    );
    turned(
        |mut reply, _| {
            reply.body.push(0);
            reply
        },
        "more than was asked for",
    );
    turned(
        |mut reply, _| {
            reply.length = Some(reply.body.len() as u64);
            reply.body.truncate(10);
            reply
        },
        "cuts its answer short",
    );
    turned(|reply, _| reply.with("Content-Encoding", "gzip"), "compressed form");
}

#[test]
fn a_first_answer_that_lies_is_refused_too() {
    let answer = |change: fn(Reply) -> Reply| {
        let server = Server::start(move |request| change(honest(&safetensors(1 << 20), "v1", request)));
        scan_here(&server.url("/w.safetensors"), &["--limit-remote-stall", "400ms"]).error().to_owned()
    };
    assert!(answer(|reply| reply.with("Content-Range", "bytes 0-65535/60000")).contains("cannot be"));
    assert!(answer(|reply| reply.with("Content-Range", "bytes 1-65536/1048657")).contains("another range"));
    assert!(answer(|reply| reply.with("Content-Encoding", "gzip")).contains("compressed form"));
    assert!(
        answer(|mut reply| {
            reply.body.truncate(100);
            reply.length = Some(65536);
            reply
        })
        .contains("short")
    );
    assert!(answer(|reply| Reply { status: 200, length: Some(1 << 60), ..reply }).contains("as a whole"));
    assert!(answer(|reply| Reply { status: 204, body: Vec::new(), ..reply }).contains("204"));
}

#[test]
fn who_stalls_is_left() {
    turned(
        |mut reply, _| {
            reply.body.truncate(3);
            reply.length = Some(1 << 16);
            reply.stalls = true;
            reply
        },
        "the server stalls",
    );
    let server = Server::start(|_| Reply { stalls: true, length: Some(5), ..Reply::new(200, "") });
    let outcome = scan_here(&server.url("/a.pkl"), &["--limit-remote-stall", "300ms"]);
    assert!(outcome.error().contains("the server stalls"), "{}", outcome.error());
    let outcome = scan_here(&server.url("/a.pkl"), &["--limit-time", "300ms"]);
    assert!(outcome.error().contains("--limit-time"), "{}", outcome.error());
}

#[test]
fn what_a_server_refuses_is_not_scanned() {
    for (status, why) in
        [(404, "not there"), (403, "forbidden"), (401, "credentials"), (500, "its own fault"), (418, "418")]
    {
        let server = Server::start(move |_| Reply::new(status, "no"));
        let outcome = scan_here(&server.url("/a.pkl"), &[]);
        assert!(outcome.error().contains(why), "{}", outcome.error());
        assert_eq!(outcome.report["errors"][0]["path"], server.url("/a.pkl").as_str());
    }
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
    assert!(!scan_here(&format!("http://127.0.0.1:{port}/a.pkl"), &[]).error().is_empty());
}

#[test]
fn who_is_busy_for_a_moment_is_asked_once_more() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| match count.fetch_add(1, Relaxed) {
        0 => Reply::new(503, "busy"),
        _ => honest(CLEAN, "v1", request),
    });
    assert_eq!(scan_here(&server.url("/a.pkl"), &[]).code, 0);
}

#[test]
fn redirects_are_followed_anew_for_each_range() {
    let bytes = checkpoint(10, 100_000);
    let server = Server::start(move |request| match request.target.as_str() {
        "/m.pt" => Reply::redirect("/store/signed?range=this"),
        "/store/signed?range=this" => honest(&bytes, "v1", request),
        _ => Reply::new(404, ""),
    });
    let outcome = scan_here(&server.url("/m.pt"), &[]);
    assert_eq!((outcome.code, outcome.verdict()), (0, "clean"), "{}", outcome.report);
    let targets: Vec<String> = server.requests().into_iter().map(|request| request.target).collect();
    let asked = targets.iter().filter(|target| *target == "/m.pt").count();
    assert_eq!(asked * 2, targets.len());
    assert!(asked > 2 && !outcome.report.to_string().contains("signed"), "{targets:?}");
}

#[test]
fn redirects_end() {
    let server = Server::start(|request| Reply::redirect(format!("{}x", request.target)));
    assert!(scan_here(&server.url("/a"), &[]).error().contains("redirects"));
    assert!(server.requests().len() < 10);
    for location in ["file:///etc/passwd", "gopher://x/", "http://a b/", ""] {
        let server = Server::start(move |_| Reply::redirect(location));
        let outcome = scan_here(&server.url("/a.pkl"), &[]);
        assert!(outcome.error().contains("redirect"), "{location}: {}", outcome.error());
    }
}

#[test]
fn secrets_stay_with_their_host_and_out_of_all_that_is_printed() {
    let other = serving(CLEAN.to_vec());
    let there = other.url("/b.pkl?signature=hidden");
    let server = Server::start(move |request| match request.target.as_str() {
        "/a.pkl?key=hidden" => Reply::redirect("/near"),
        "/near" => Reply::redirect(there.clone()),
        _ => Reply::new(404, "hidden"),
    });
    let with_user = |path: &str| server.url(path).replacen("http://", "http://me:hidden@", 1);
    let outcome = scan_here(&with_user("/a.pkl?key=hidden"), &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.report);
    let expected = Some("Basic bWU6aGlkZGVu");
    assert!(server.requests().iter().all(|request| request.header("authorization") == expected));
    assert_eq!(server.requests().len(), 2);
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
    assert!(!other.requests().is_empty());
    let failed = scan_here(&with_user("/none?key=hidden"), &["--output", "text=/dev/stderr"]);
    assert_eq!(failed.code, 2);
    let odd = scan_here(&with_user("/a b?key=hidden"), &[]);
    assert_eq!(odd.code, 4);
    for outcome in [outcome, failed, odd] {
        assert!(
            !format!("{}{}", outcome.report, outcome.stderr).contains("hidden"),
            "{} {}",
            outcome.report,
            outcome.stderr
        );
    }
}

#[test]
fn a_token_is_not_sent_over_a_plain_connection() {
    let server = serving(CLEAN.to_vec());
    let host = server.address.to_string();
    let variables = [("MODELSCAN_TOKEN", "hidden"), ("MODELSCAN_TOKEN_HOST", host.as_str())];
    let address = server.url("/a.pkl");
    assert_eq!(scan_with(&["--allow-http", "--allow-private", &address], &variables).code, 0);
    assert!(server.requests().iter().all(|request| request.header("authorization").is_none()));
    let outcome = scan_with(&["--allow-http", "--allow-private", &address], &[("MODELSCAN_TOKEN", "hidden")]);
    assert!(outcome.code == 4 && outcome.stderr.contains("MODELSCAN_TOKEN_HOST") && !outcome.stderr.contains("hidden"));
}

#[test]
fn private_addresses_are_not_reached_unless_asked() {
    let server = serving(CLEAN.to_vec());
    let port = server.address.port();
    for host in ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let outcome = scan(&["--allow-http", &format!("http://{host}:{port}/a.pkl")]);
        assert_eq!(outcome.code, 2, "{host}: {}", outcome.report);
        let why = outcome.error();
        assert!(why.contains("--allow-private") || why.contains("not found"), "{host}: {why}");
    }
    for address in ["http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]/", "http://100.100.100.200/"] {
        let outcome = scan(&["--allow-http", "--limit-remote-stall", "1s", address]);
        assert!(outcome.error().contains("--allow-private"), "{address}: {}", outcome.error());
    }
    assert!(server.requests().is_empty());
}

#[test]
fn plain_http_is_for_those_who_ask() {
    let server = serving(CLEAN.to_vec());
    let outcome = scan(&["--allow-private", &server.url("/a.pkl")]);
    assert!(outcome.code == 4 && outcome.stderr.contains("--allow-http"), "{}", outcome.stderr);
    assert!(server.requests().is_empty());
}

#[test]
fn budgets_end_a_scan_and_say_so() {
    let server = serving(checkpoint(200, 20_000));
    let address = server.url("/m.pt");
    let outcome = scan_here(&address, &["--limit-remote-requests", "4"]);
    assert_eq!((outcome.code, outcome.verdict()), (2, "unproven"), "{}", outcome.report);
    assert!(outcome.report.to_string().contains("--limit-remote-requests"));
    assert_eq!(server.requests().len(), 4);
    let outcome = scan_here(&address, &["--limit-remote-bytes", "100KiB"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.report.to_string().contains("--limit-remote-bytes"));
    assert!(outcome.bytes_read() <= 100 << 10);
}

#[test]
fn headers_are_read_many_at_a_time() {
    let bytes = checkpoint(100, 20_000);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(0)));
    let (counter, seen) = (now.clone(), most.clone());
    let server = Server::start(move |request| {
        let here = counter.fetch_add(1, Relaxed) + 1;
        let mut most = seen.lock().expect("nobody panics with it");
        *most = here.max(*most);
        drop(most);
        std::thread::sleep(std::time::Duration::from_millis(20));
        counter.fetch_sub(1, Relaxed);
        honest(&bytes, "v1", request)
    });
    let outcome = scan_here(&server.url("/m.pt"), &[]);
    assert_eq!((outcome.code, outcome.verdict()), (0, "clean"), "{}", outcome.report);
    let most = *most.lock().expect("nobody panics with it");
    assert!((4..=16).contains(&most), "{most} at once");
}
