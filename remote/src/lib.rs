//! Inputs of a scan that are not files of this machine: addresses, read by ranges where the server allows, and the objects of Git
//! LFS pointers. This is the only crate that opens connections, and only to the addresses, redirects and servers that it is given.
#![forbid(unsafe_code)]

mod address;
mod bounds;
mod budget;
mod client;
mod credentials;
mod download;
mod error;
mod lfs;
mod open;
mod options;
mod provider;
mod range;
mod range_cache;
mod resolver;

pub use address::Address;
pub use credentials::Credentials;
pub use error::{AddressFault, ConnectionFault, Error, LfsFault, ObjectLocation, ServerFault};
pub use options::{LfsMode, LfsOptions, Options};
pub use provider::RemoteInputs;
