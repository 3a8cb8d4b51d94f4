//! The proxy: plain HTTP and TLS to servers on this machine, and denied requests.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio as Std};

mod support;

use support::{Result, can_sandbox, request, run};

use fixtures::Need;
use sandbox_exec::{AllowedHost, Grant, Permission, ReadOnlyPath};

const PYTHON: &str = "/usr/bin/python3";

fn python_there() -> bool {
    let there = Path::new(PYTHON).exists();
    if !there {
        fixtures::skip(Need::Python, format!("no {PYTHON} to make requests inside"));
    }
    there
}

#[test]
fn only_named_hosts_are_reached() -> Result<()> {
    if !can_sandbox() || !python_there() {
        return Ok(());
    }
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    std::thread::spawn(move || {
        for client in server.incoming().flatten() {
            let mut head = [0u8; 1024];
            let _ = (&client).read(&mut head);
            let _ = (&client).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        }
    });
    let script = format!(
        "import urllib.request as u\nfor a in ('localhost:{port}', '127.0.0.1:{port}', 'example.com'):\n try: print(u.urlopen('http://'+a+'/', timeout=5).read())\n except Exception as e: print(e)"
    );
    let mut request = request(&[PYTHON, "-c", &script])?;
    request.profile.network.push(AllowedHost { host: format!("localhost:{port}"), why: "test".into() });
    let (report, text) = run(&request)?;
    assert_eq!(text.matches("403").count(), 3, "a private address without its permission: {text}");
    assert!(report.network.is_empty());
    request.profile.allow.push(Grant { name: Permission::NetPrivate, why: "test".into() });
    let (report, text) = run(&request)?;
    assert_eq!((text.matches("hello").count(), text.matches("403").count()), (1, 2), "{text}");
    assert_eq!(report.network, [format!("localhost:{port}")]);
    assert_eq!(report.violations.iter().filter(|violation| violation.kind == "network").count(), 2);
    Ok(())
}

/// A TLS server for `localhost`, and the folder of its certificate.
struct TlsServer {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl TlsServer {
    /// `None` where there is no openssl to make a certificate.
    fn start() -> Result<Option<Self>> {
        let folder = std::env::temp_dir().join(format!("modelscan-tls-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        openssl.args(["-addext", "subjectAltName=DNS:localhost", "-keyout"]).arg(folder.join("key"));
        openssl.arg("-out").arg(folder.join("certificate")).stderr(Std::null());
        if !openssl.status().is_ok_and(|status| status.success()) {
            fs::remove_dir_all(&folder)?;
            return Ok(None);
        }
        let script = "import socket, ssl, sys\n\
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[1]+'/certificate', sys.argv[1]+'/key')\n\
            s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n\
            while True:\n\
            \x20a, _ = s.accept()\n\
            \x20try:\n\
            \x20 t = c.wrap_socket(a, server_side=True); t.recv(4096)\n\
            \x20 t.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\nConnection: close\\r\\n\\r\\nencrypted'); t.close()\n\
            \x20except Exception: a.close()";
        let mut process =
            Command::new(PYTHON).args(["-c", script]).arg(&folder).stdout(Std::piped()).stderr(Std::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no server")?).read_line(&mut line)?;
        Ok(Some(Self { process, folder, port: line.trim().parse()? }))
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn tls_reaches_only_the_host_of_its_greeting() -> Result<()> {
    if !can_sandbox() || !python_there() {
        return Ok(());
    }
    let Some(server) = TlsServer::start()? else {
        fixtures::skip(Need::Program, "no openssl to make a certificate");
        return Ok(());
    };
    let port = server.port;
    // Sockets where a library would refuse: a greeting with another name, with none, and no greeting at all.
    let script = format!(
        "import os, socket, ssl, urllib.request as u\n\
         good = ssl.create_default_context(cafile='/certificate')\n\
         print('right name:', u.urlopen('https://localhost:{port}/', timeout=5, context=good).read())\n\
         any = ssl.create_default_context(); any.check_hostname = False; any.verify_mode = ssl.CERT_NONE\n\
         proxy = os.environ['HTTPS_PROXY'].removeprefix('http://').split(':')\n\
         def tunnel():\n\
         \x20s = socket.create_connection((proxy[0], int(proxy[1])), 5); s.sendall(b'CONNECT localhost:{port} HTTP/1.1\\r\\n\\r\\n')\n\
         \x20assert b' 200 ' in s.recv(4096); return s\n\
         for what, name in (('other name', 'other.example'), ('no name', None)):\n\
         \x20try: t = any.wrap_socket(tunnel(), server_hostname=name); t.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); print(what, 'GOT OUT', t.recv(99))\n\
         \x20except OSError as e: print(what, 'refused')\n\
         s = tunnel(); s.sendall(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'); print('no TLS', s.recv(99) or 'refused')"
    );
    let mut request = request(&[PYTHON, "-c", &script])?;
    let certificate = server.folder.join("certificate");
    fs::set_permissions(&certificate, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    let dest = Some("/certificate".into());
    request.profile.read.push(ReadOnlyPath { path: certificate, dest, why: "test".into(), optional: false });
    request.profile.network.push(AllowedHost { host: format!("localhost:{port}"), why: "test".into() });
    request.profile.allow.push(Grant { name: Permission::NetPrivate, why: "test".into() });
    let (report, text) = run(&request)?;
    assert_eq!(
        text, "right name: b'encrypted'\nother name refused\nno name refused\nno TLS refused\n",
        "{:?} {:?}",
        report.reason, report.violations
    );
    assert_eq!(report.network, [format!("localhost:{port}")]);
    let denied: Vec<_> = report.violations.iter().filter(|v| v.kind == "network").map(|v| v.detail.as_str()).collect();
    let expected = [
        "the TLS greeting asks for \"other.example\"",
        "the TLS greeting names no host, or hides its name",
        "what followed CONNECT was not TLS",
    ];
    assert!(expected.iter().all(|detail| denied.contains(detail)), "{denied:?}");
    Ok(())
}
