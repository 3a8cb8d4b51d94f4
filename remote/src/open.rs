//! The first question about something on a server, and which way it is read from then on.

use crate::client::{Answer, Ask, Client};
use crate::range::{FIRST, RangeSource, Version, body, part};
use crate::whole::WholeSource;
use scanner::providers::VerifiedSource;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// An object on a server.
pub(crate) struct Object {
    pub(crate) source: Arc<dyn VerifiedSource>,
    /// The SHA-256 of all of it, where all of it was fetched.
    pub(crate) sha256: Option<String>,
}

/// Asks for the first bytes; the answer tells the length, the version, and whether ranges are to be had at all. Who wants
/// the hash gets all of it at once: by ranges, what is hashed and what is looked at might be two things.
pub(crate) fn open(client: &Arc<Client>, ask: Ask, hash: bool, read: &Arc<AtomicU64>) -> Result<Object, String> {
    let whole = |answer| {
        let (source, sha256) = WholeSource::download(client, answer, read)?;
        Ok(Object { source: Arc::new(source), sha256: Some(sha256) })
    };
    if hash {
        return whole(all(client, &ask)?);
    }
    client.budget.take_bytes(FIRST)?;
    let range = format!("bytes=0-{}", FIRST - 1);
    let answer = client.get(&ask, &[("range", range.as_str())])?;
    match answer.status {
        // No byte of it can be asked for: it has none, and asking for all of it shows whether that is so.
        416 => {
            drop(answer);
            whole(all(client, &ask)?)
        }
        200 => whole(answer),
        206 => {
            let (start, end, len) = part(&answer)?;
            if (start, end) != (0, FIRST.min(len)) {
                return Err("the server answers with another range than the one that was asked for".to_owned());
            }
            let Some(version) = Version::of(&answer) else {
                // Parts of two versions could not be told apart.
                drop(answer);
                return whole(all(client, &ask)?);
            };
            let first = body(answer, end, read)?;
            let source = RangeSource::new(client.clone(), ask, len, version, &first, read.clone());
            Ok(Object { source: Arc::new(source), sha256: None })
        }
        _ => Err(answer.refusal()),
    }
}

fn all<'a>(client: &'a Client, ask: &Ask) -> Result<Answer<'a>, String> {
    let answer = client.get(ask, &[])?;
    if answer.status == 200 { Ok(answer) } else { Err(answer.refusal()) }
}
