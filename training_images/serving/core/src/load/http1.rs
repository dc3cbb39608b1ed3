//! HTTP/1.1 with connections that are kept.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Request;
use super::link::{Counts, Exchange};
use super::reading::{Answer, Reading};

const BUFFER: usize = 64 * 1024;

pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    is_used: bool,
    buffer: Box<[u8]>,
    pub counts: Counts,
}

enum Broken {
    /// Nothing of the answer had come.
    Before,
    Within,
    Garbage,
}

impl Connection {
    pub fn new(address: SocketAddr) -> Connection {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Connection { address, stream: None, is_used: false, buffer, counts: Counts::default() }
    }

    pub async fn open(&mut self) -> Result<(), &'static str> {
        let stream = TcpStream::connect(self.address).await.map_err(|_| "refused")?;
        stream.set_nodelay(true).map_err(|_| "refused")?;
        self.counts.reopened += u32::from(self.is_used);
        self.is_used = false;
        self.stream = Some(stream);
        Ok(())
    }

    pub fn close(&mut self) {
        self.stream = None;
    }

    pub async fn exchange(&mut self, request: &[u8]) -> Exchange {
        loop {
            if self.stream.is_none()
                && let Err(what) = self.open().await
            {
                return Exchange::Failed(what);
            }
            let Some(stream) = &mut self.stream else { return Exchange::Failed("refused") };
            let found = converse(stream, request, &mut self.buffer).await;
            let was_used = std::mem::replace(&mut self.is_used, true);
            match found {
                Ok(answer) => {
                    if answer.closes {
                        self.close();
                    }
                    let is_good = (200..300).contains(&answer.status);
                    return Exchange::Answer { code: answer.status, is_good };
                }
                // The server ended a connection that it had kept, as the request was on its way: as any client, another try.
                Err(Broken::Before) if was_used => {
                    self.close();
                    self.counts.resent += 1;
                }
                Err(broken) => {
                    self.close();
                    return Exchange::Failed(if matches!(broken, Broken::Garbage) { "garbage" } else { "lost" });
                }
            }
        }
    }
}

async fn converse(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> Result<Answer, Broken> {
    // A server may answer before it has read everything, and then end the connection: its answer counts.
    let written = write_all(stream, request).await;
    let mut reading = Reading::default();
    loop {
        let length = read(stream, buffer).await.unwrap_or(0);
        let found = if length == 0 { reading.end() } else { reading.take(&buffer[..length]) };
        match found {
            Ok(Some(answer)) => return Ok(Answer { closes: answer.closes || written.is_err(), ..answer }),
            Ok(None) if length > 0 => {}
            Ok(None) if reading.is_empty() => return Err(Broken::Before),
            Ok(None) => return Err(Broken::Within),
            Err(_) => return Err(Broken::Garbage),
        }
    }
}

async fn write_all(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let length = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, bytes)).await?;
        bytes = &bytes[length..];
    }
    Ok(())
}

async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    poll_fn(|context| {
        let mut space = ReadBuf::new(buffer);
        Pin::new(&mut *stream).poll_read(context, &mut space).map_ok(|()| space.filled().len())
    })
    .await
}

/// A request as it goes over the wire.
pub fn bytes(authority: &str, path: &str, request: &Request) -> Bytes {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {}\r\n", request.body.len());
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", &request.body].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_on_the_wire() {
        let request =
            Request { headers: vec![("Content-Type".to_owned(), "x/y".to_owned())], body: Bytes::from_static(b"{}") };
        assert_eq!(
            bytes("h:1", "/p", &request),
            "POST /p HTTP/1.1\r\nHost: h:1\r\nContent-Length: 2\r\nContent-Type: x/y\r\n\r\n{}"
        );
    }
}
