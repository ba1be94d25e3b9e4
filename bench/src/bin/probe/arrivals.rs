//! When an answer's bytes reached this machine, as the kernel noted it. A client that asks for more than it can
//! handle reads late; its own lateness must not be taken for the target's.

use std::io::{ErrorKind, IoSliceMut};
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that are read at once.
pub(crate) const PIECE: usize = 16 << 10;

/// Reads from one connection, and knows when the last byte that it read had arrived (`SO_TIMESTAMPNS`, socket(7)).
pub(crate) struct Arrivals {
    piece: Box<[u8]>,
    control: Vec<u8>,
    last: Option<SystemTime>,
}

impl Arrivals {
    /// From now on the kernel notes what arrives on this connection.
    pub(crate) fn note(socket: &TcpStream) -> anyhow::Result<Self> {
        setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
        Ok(Self { piece: vec![0; PIECE].into(), control: nix::cmsg_space!(TimeSpec), last: None })
    }

    /// When the last byte that was read arrived.
    pub(crate) fn last(&self) -> Option<SystemTime> {
        self.last
    }

    /// What has arrived; nothing at the end.
    pub(crate) async fn read(&mut self, socket: &TcpStream) -> std::io::Result<&[u8]> {
        let (piece, control) = (&mut self.piece, &mut self.control);
        let (length, arrived) = socket
            .async_io(Interest::READABLE, || {
                let mut slices = [IoSliceMut::new(piece)];
                let message =
                    recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut *control), MsgFlags::empty())?;
                let arrived = message.cmsgs()?.find_map(|message| match message {
                    ControlMessageOwned::ScmTimestampns(time) => Some(time),
                    _ => None,
                });
                Ok((message.bytes, arrived))
            })
            .await?;
        let arrived = arrived.map(|time| SystemTime::UNIX_EPOCH + Duration::from(time));
        if length > 0 {
            self.last = Some(arrived.ok_or(ErrorKind::Unsupported)?);
        }
        Ok(self.piece.get(..length).unwrap_or_default())
    }
}
