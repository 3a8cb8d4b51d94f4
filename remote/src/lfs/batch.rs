//! The batch API of Git LFS: for many objects at once, the server says where each can be fetched from and with which
//! headers. The answer is a stranger's: its length is bounded, its headers go only where it sends us.

use crate::address::Address;
use crate::client::{Ask, Client, io_reason};
use scanner::internal::format::lfs_pointer::Pointer;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Read;
use std::time::Instant;

/// Objects of one question, as many as Git LFS asks for.
pub(super) const MOST: usize = 100;
/// A signed address takes some kilobytes.
const LONGEST: u64 = 4 << 20;
const TYPE: &str = "application/vnd.git-lfs+json";
/// What an answer must not set: it would change what is asked for.
const OURS: [&str; 9] = [
    "host",
    "range",
    "if-range",
    "content-length",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "upgrade",
    "te",
];

/// Where an object is to be had.
#[derive(Clone)]
pub(super) struct Action {
    pub(super) address: Address,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Answered {
    #[serde(default)]
    transfer: Option<String>,
    #[serde(default)]
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Actions {
    #[serde(default)]
    download: Option<Download>,
}

#[derive(Deserialize)]
struct Download {
    href: String,
    #[serde(default)]
    header: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
}

/// Asks where objects are to be had; the answer has one entry for each that the server spoke of.
pub(super) fn ask(
    client: &Client,
    server: &Address,
    pointers: &[Pointer],
    deadline: Instant,
) -> Result<HashMap<String, Result<Action, String>>, String> {
    let objects: Vec<_> =
        pointers.iter().map(|pointer| serde_json::json!({"oid": pointer.oid, "size": pointer.size})).collect();
    let body = serde_json::json!({
        "operation": "download", "transfers": ["basic"], "hash_algo": "sha256", "objects": objects,
    });
    let ask = Ask { address: server.below("objects/batch"), secret: Vec::new(), deadline };
    let answer = client.post(&ask, &[("accept", TYPE), ("content-type", TYPE)], &body.to_string())?;
    if answer.status != 200 {
        return Err(format!("the LFS server {server}: {}", answer.refusal()));
    }
    answer.check_encoding()?;
    let mut text = Vec::new();
    let (reader, _slot) = answer.reader();
    reader.take(LONGEST + 1).read_to_end(&mut text).map_err(|error| io_reason(&error))?;
    let answered = Some(text).filter(|text| text.len() as u64 <= LONGEST);
    let answered: Option<Answered> = answered.and_then(|text| serde_json::from_slice(&text).ok());
    let answered = answered.ok_or_else(|| format!("the LFS server {server} answers with what is no batch"))?;
    if answered.transfer.is_some_and(|transfer| transfer != "basic") {
        return Err(format!("the LFS server {server} wants another transfer than the basic one"));
    }
    Ok(answered.objects.into_iter().map(|object| (object.oid.to_ascii_lowercase(), action(object))).collect())
}

fn action(object: Object) -> Result<Action, String> {
    if let Some(refusal) = object.error {
        return Err(match refusal.code {
            404 | 410 => "the LFS server does not have it".to_owned(),
            code => format!("the LFS server refuses it (code {code})"),
        });
    }
    let download = object.actions.and_then(|actions| actions.download);
    let download = download.ok_or("the LFS server does not say where it is")?;
    let address =
        Address::parse(&download.href).map_err(|why| format!("the LFS server says where it is, but not so: {why}"))?;
    let headers = download.header.unwrap_or_default().into_iter();
    let headers = headers.filter(|(name, _)| !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))).collect();
    Ok(Action { address, headers })
}
