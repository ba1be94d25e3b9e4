//! One kept-alive HTTP/1.1 connection. Unlike a client library it shows the frames of a chunked body as
//! the server wrote them.

use std::time::SystemTime;

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Target;
use crate::arrivals::{Arrivals, PIECE};

/// Filler that brings a request to about 1 KB.
const FILLER: &str =
    "The quick brown fox jumps over the lazy dog while nobody at the signal box is watching. ";
const HEADERS: usize = 64;

/// A connection and what was read of it but not yet used.
pub(crate) struct Connection {
    socket: TcpStream,
    read: BytesMut,
    arrivals: Option<Arrivals>,
}

/// What an answer's head says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// False: the connection is of no further use.
    pub(crate) keeps_connection: bool,
}

enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    /// Connects, without Nagle's delay.
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(target.address).await.context("the target cannot be reached")?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, read: BytesMut::with_capacity(PIECE), arrivals: None })
    }

    /// As [`Self::open`]; [`Self::arrived`] says when answers arrived.
    pub(crate) async fn open_noting_arrivals(target: &Target) -> anyhow::Result<Self> {
        let mut connection = Self::open(target).await?;
        connection.arrivals = Some(Arrivals::note(&connection.socket)?);
        Ok(connection)
    }

    /// When the last byte of the last answer arrived, if that is noted.
    pub(crate) fn arrived(&self) -> Option<SystemTime> {
        self.arrivals.as_ref()?.last()
    }

    /// Sends a request and gives each piece of the answer's body to `piece`: the frames of a chunked body
    /// one by one, another body as it arrives.
    pub(crate) async fn exchange(&mut self, request: &[u8], piece: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let status = self.answer(request, piece).await?.status;
        ensure!(status == 200, "the target answered {status}");
        Ok(())
    }

    /// As [`Self::exchange`], whatever the status.
    pub(crate) async fn answer(
        &mut self,
        request: &[u8],
        mut piece: impl FnMut(&[u8]),
    ) -> anyhow::Result<Answered> {
        self.socket.write_all(request).await?;
        let (answered, framing) = self.read_head().await?;
        match framing {
            Framing::Length(mut left) => {
                while left > 0 {
                    self.fill(1).await?;
                    let taken = self.read.len().min(left);
                    piece(&self.read.split_to(taken));
                    left -= taken;
                }
            }
            Framing::Chunked => self.read_chunks(piece).await?,
        }
        Ok(answered)
    }

    async fn read_head(&mut self) -> anyhow::Result<(Answered, Framing)> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = response.parse(&self.read)? {
                let status = response.code.unwrap_or(0);
                let text = |name: &str| {
                    let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                    found.and_then(|header| std::str::from_utf8(header.value).ok())
                };
                let framing = match (text("content-length"), text("transfer-encoding")) {
                    (Some(length), _) => Framing::Length(length.parse()?),
                    (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => Framing::Chunked,
                    _ => bail!("the answer has no framing"),
                };
                let keeps_connection =
                    !text("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                self.read.advance(length);
                return Ok((Answered { status, keeps_connection }, framing));
            }
            self.more().await?;
        }
    }

    async fn read_chunks(&mut self, mut piece: impl FnMut(&[u8])) -> anyhow::Result<()> {
        loop {
            let (header, size) = loop {
                if let httparse::Status::Complete((header, size)) = httparse::parse_chunk_size(&self.read)
                    .map_err(|_| anyhow::anyhow!("a chunk has no size"))?
                {
                    break (header, usize::try_from(size)?);
                }
                self.more().await?;
            };
            self.fill(header + size + 2).await?;
            self.read.advance(header);
            let frame = self.read.split_to(size);
            self.read.advance(2);
            if size == 0 {
                return Ok(());
            }
            piece(&frame);
        }
    }

    async fn fill(&mut self, wanted: usize) -> anyhow::Result<()> {
        while self.read.len() < wanted {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        let count = match &mut self.arrivals {
            None => self.socket.read_buf(&mut self.read).await?,
            Some(arrivals) => {
                let piece = arrivals.read(&self.socket).await?;
                self.read.extend_from_slice(piece);
                piece.len()
            }
        };
        ensure!(count > 0, "the target closed the connection");
        Ok(())
    }
}

/// A chat request of about 1 KB, the one of `load-tests/wrk/chat.lua`.
pub(crate) fn chat_request(target: &Target, stream: bool) -> Vec<u8> {
    let stream = if stream { r#""stream":true,"stream_options":{"include_usage":true},"# } else { "" };
    let body = format!(
        r#"{{"model":"{}","temperature":0.2,{stream}"messages":[{{"role":"system","content":"{}"}},{{"role":"user","content":"Say this in fewer words, please."}}]}}"#,
        target.model,
        FILLER.repeat(9),
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        target.address,
        target.key,
        body.len()
    )
    .into_bytes()
}
