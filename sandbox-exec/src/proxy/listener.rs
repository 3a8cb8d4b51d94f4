//! The proxy's listening socket. It is created inside, in a network namespace that contains nothing else; the supervisor accepts its connections.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::sys::error::Error;

/// Brings up the loopback interface and binds a port on it; returns the socket and the port.
pub(crate) fn listen() -> Result<(OwnedFd, u16), Error> {
    loopback_up().map_err(|e| Error::setup("bringing the loopback interface up", e))?;
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
    let (port, listener) = bound.map_err(|e| Error::setup("listening for the proxy", e))?;
    Ok((listener.into(), port))
}

const NLMSG_LEN: u32 = 32;
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST_AND_ACK: u16 = 5;
const LOOPBACK_INDEX: i32 = 1;
const IFF_UP: u32 = 1;

/// Sends one RTM_NEWLINK message (rtnetlink(7)): a `nlmsghdr` and an `ifinfomsg`.
fn loopback_up() -> io::Result<()> {
    // Without a protocol the socket has protocol 0, which is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut message = Vec::with_capacity(32);
    message.extend(NLMSG_LEN.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_AND_ACK.to_ne_bytes());
    // Sequence number and port id; then family, padding and type of the ifinfomsg.
    message.extend([0u8; 8]);
    message.extend([0u8; 4]);
    message.extend(LOOPBACK_INDEX.to_ne_bytes());
    // The flags, and the mask of flags to change.
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0u8; 64];
    let (got, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    let code = answer.get(16..20).filter(|_| got >= 20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(-errno)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
