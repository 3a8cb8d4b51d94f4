//! The HTTP proxy, the only way from the sandbox to the network.

mod denial;
pub(crate) mod listener;
mod request_line;
pub(crate) mod server;
mod tls_greeting;
