//! One keep-alive HTTP/1.1 connection, as thin as a load generator needs.
//!
//! It knows status, `Content-Length`, chunked bodies (RFC 9112 sections 6 and 7)
//! and whether the server closes it, and nothing else: no TLS, no redirects, no
//! pipelining. The answers come from servers of this benchmark on loopback, so
//! odd ones are errors.

use std::{io, net::SocketAddr};

use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpStream};

/// Room for one read.
const READ: usize = 256 * 1024;
/// A longer head or chunk line is no answer of ours.
const LONGEST_HEAD: usize = 16 * 1024;

pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were used up.
    at: usize,
    /// The last answer's body.
    pub(super) body: Vec<u8>,
    /// The server closes the connection after its last answer.
    pub(super) closed: bool,
}

enum Length {
    Known(usize),
    Chunked,
}

impl Wire {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(READ),
            at: 0,
            body: Vec::new(),
            closed: false,
        })
    }

    /// Sends one request and reads its whole answer; the status.
    pub(super) async fn send(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.body.clear();
        let (status, length) = self.head().await?;
        match length {
            Length::Known(length) => self.take(length).await?,
            Length::Chunked => self.chunks().await?,
        }
        Ok(status)
    }

    async fn head(&mut self) -> io::Result<(u16, Length)> {
        let end = self.find(b"\r\n\r\n").await?;
        let head = &self.buffer[self.at..end];
        let status = std::str::from_utf8(head.get(9..12).unwrap_or_default())
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| odd("no status"))?;
        let length = length(head, status)?;
        self.closed = head
            .split(|byte| *byte == b'\n')
            .any(|line| line.trim_ascii().eq_ignore_ascii_case(b"connection: close"));
        self.at = end + 4;
        Ok((status, length))
    }

    async fn chunks(&mut self) -> io::Result<()> {
        loop {
            let end = self.find(b"\r\n").await?;
            let size = std::str::from_utf8(&self.buffer[self.at..end]).unwrap_or_default();
            let size =
                usize::from_str_radix(size.trim(), 16).map_err(|_| odd("no size of a chunk"))?;
            self.at = end + 2;
            self.take(size).await?;
            let end = self.find(b"\r\n").await?;
            self.at = end + 2;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Moves so many bytes into the body.
    async fn take(&mut self, mut left: usize) -> io::Result<()> {
        while left > 0 {
            let have = &self.buffer[self.at..];
            let part = have.len().min(left);
            self.body.extend_from_slice(&have[..part]);
            self.at += part;
            left -= part;
            if left > 0 {
                self.fill().await?;
            }
        }
        Ok(())
    }

    /// Where the next `mark` begins, reading on until it is there.
    async fn find(&mut self, mark: &[u8]) -> io::Result<usize> {
        loop {
            let have = &self.buffer[self.at..];
            if let Some(place) = have.windows(mark.len()).position(|bytes| bytes == mark) {
                return Ok(self.at + place);
            }
            if have.len() > LONGEST_HEAD {
                return Err(odd("a head without end"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        } else if self.buffer.capacity() - self.buffer.len() < READ / 4 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.reserve(READ / 4);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn length(head: &[u8], status: u16) -> io::Result<Length> {
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value[1..].trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).unwrap_or_default();
            let length = digits.parse().map_err(|_| odd("a length that is none"))?;
            return Ok(Length::Known(length));
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked")
        {
            return Ok(Length::Chunked);
        }
    }
    match status {
        204 | 304 => Ok(Length::Known(0)),
        _ => Err(odd("an answer of unknown length")),
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
