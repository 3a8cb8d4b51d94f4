//! Opens an object on a server. The answer to the first range decides whether it is read by ranges or downloaded as a whole.

use crate::bounds::FIRST_RANGE_BYTES;
use crate::client::{Client, Request, Response};
use crate::download::DownloadedSource;
use crate::error::{Error, ServerFault};
use crate::range::{ObjectVersion, RangeSource, content_range, read_body};
use scanner::providers::VerifiedSource;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// An open object.
pub(crate) struct OpenObject {
    pub(crate) source: Arc<dyn VerifiedSource>,
    /// The SHA-256, if the object was downloaded as a whole.
    pub(crate) sha256: Option<String>,
}

/// Requests the first bytes. Where the hash is needed the object is downloaded as a whole instead: the bytes that are hashed
/// must be the bytes that are scanned.
pub(crate) fn open_object(
    client: &Arc<Client>,
    request: Request,
    hash: bool,
    read: &Arc<AtomicU64>,
) -> Result<OpenObject, Error> {
    let download = |response| {
        let (source, sha256) = DownloadedSource::download(client, response, read)?;
        Ok(OpenObject { source: Arc::new(source), sha256: Some(sha256) })
    };
    if hash {
        return download(get_whole(client, &request)?);
    }
    client.budget.take_bytes(FIRST_RANGE_BYTES)?;
    let range = format!("bytes=0-{}", FIRST_RANGE_BYTES - 1);
    let response = client.get(&request, &[("range", range.as_str())])?;
    match response.status {
        // The range is not satisfiable: the object may be empty, which a request for all of it shows.
        416 => {
            drop(response);
            download(get_whole(client, &request)?)
        }
        200 => download(response),
        206 => {
            let (start, end, len) = content_range(&response)?;
            if (start, end) != (0, FIRST_RANGE_BYTES.min(len)) {
                return Err(Error::Server(ServerFault::OtherRange));
            }
            let Some(version) = ObjectVersion::from_response(&response) else {
                // Ranges of two versions could not be told apart.
                drop(response);
                return download(get_whole(client, &request)?);
            };
            let first = read_body(response, end, read)?;
            let source = RangeSource::new(client.clone(), request, len, version, &first, read.clone());
            Ok(OpenObject { source: Arc::new(source), sha256: None })
        }
        status => Err(Error::Status(status)),
    }
}

fn get_whole<'a>(client: &'a Client, request: &Request) -> Result<Response<'a>, Error> {
    let response = client.get(request, &[])?;
    if response.status == 200 { Ok(response) } else { Err(Error::Status(response.status)) }
}
