//! The batch API of Git LFS (git-lfs, docs/api/batch.md): for many objects at once, the server gives the address and the headers of
//! each download. The answer comes from a stranger: its length is bounded, and its headers are sent to its addresses only.

use crate::address::Address;
use crate::bounds::MAX_BATCH_ANSWER_BYTES;
use crate::client::{Client, Request, body_error};
use crate::error::{Error, LfsFault};
use scanner::internal::format::lfs_pointer::Pointer;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Read;
use std::time::Instant;

const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";
/// Headers that an answer must not set, because they would change the request.
const RESERVED_HEADERS: [&str; 9] = [
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

/// Where an object can be downloaded.
#[derive(Clone)]
pub(super) struct DownloadAction {
    pub(super) address: Address,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct BatchAnswer {
    #[serde(default)]
    transfer: Option<String>,
    #[serde(default)]
    objects: Vec<ObjectAnswer>,
}

#[derive(Deserialize)]
struct ObjectAnswer {
    oid: String,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default)]
    error: Option<ObjectError>,
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
struct ObjectError {
    code: i64,
}

/// Requests the downloads of objects. The result has one entry, by oid, for each object that the answer names.
pub(super) fn request_downloads(
    client: &Client,
    server: &Address,
    pointers: &[Pointer],
    deadline: Instant,
) -> Result<HashMap<String, Result<DownloadAction, Error>>, Error> {
    let objects: Vec<_> =
        pointers.iter().map(|pointer| serde_json::json!({"oid": pointer.oid, "size": pointer.size})).collect();
    let body = serde_json::json!({
        "operation": "download", "transfers": ["basic"], "hash_algo": "sha256", "objects": objects,
    });
    let request = Request { address: server.join_path("objects/batch"), secret_headers: Vec::new(), deadline };
    let headers = [("accept", MEDIA_TYPE), ("content-type", MEDIA_TYPE)];
    let response = client.post(&request, &headers, &body.to_string())?;
    let at_server = |error: Error| error.at(format!("the LFS server {server}"));
    if response.status != 200 {
        return Err(at_server(Error::Status(response.status)));
    }
    response.check_encoding()?;
    let mut text = Vec::new();
    let (reader, _permit) = response.into_reader();
    reader.take(MAX_BATCH_ANSWER_BYTES + 1).read_to_end(&mut text).map_err(|error| body_error(&error))?;
    let answer = Some(text).filter(|text| text.len() as u64 <= MAX_BATCH_ANSWER_BYTES);
    let answer: Option<BatchAnswer> = answer.and_then(|text| serde_json::from_slice(&text).ok());
    let answer = answer.ok_or_else(|| at_server(Error::Lfs(LfsFault::InvalidBatch)))?;
    if answer.transfer.is_some_and(|transfer| transfer != "basic") {
        return Err(at_server(Error::Lfs(LfsFault::Transfer)));
    }
    let actions = answer.objects.into_iter();
    Ok(actions.map(|object| (object.oid.to_ascii_lowercase(), download_action(object).map_err(Error::Lfs))).collect())
}

fn download_action(object: ObjectAnswer) -> Result<DownloadAction, LfsFault> {
    if let Some(error) = object.error {
        return Err(match error.code {
            404 | 410 => LfsFault::Absent,
            code => LfsFault::Refused(code),
        });
    }
    let download = object.actions.and_then(|actions| actions.download).ok_or(LfsFault::NoAction)?;
    let address = Address::parse_parts(&download.href).map_err(LfsFault::ActionAddress)?;
    let is_reserved = |name: &str| RESERVED_HEADERS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved));
    let headers = download.header.unwrap_or_default().into_iter().filter(|(name, _)| !is_reserved(name)).collect();
    Ok(DownloadAction { address, headers })
}
