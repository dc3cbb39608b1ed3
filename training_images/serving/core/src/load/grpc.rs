//! Calls of one message each over HTTP/2 without TLS, one at a time on a connection.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use hyper::HeaderMap;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, spawn_local};

use super::link::{Counts, Exchange, Prepared};
use super::{Request, Unmeasured};

/// So large that no answer waits for leave to be sent.
const WINDOW: u32 = 64 << 20;
const STATUS: &str = "grpc-status";

pub struct Connection {
    address: SocketAddr,
    open: Option<Open>,
    is_used: bool,
    pub counts: Counts,
}

struct Open {
    sender: SendRequest<Bytes>,
    driver: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

enum Broken {
    Before,
    Within,
}

impl Connection {
    pub fn new(address: SocketAddr) -> Connection {
        Connection { address, open: None, is_used: false, counts: Counts::default() }
    }

    pub async fn open(&mut self) -> Result<(), &'static str> {
        let stream = TcpStream::connect(self.address).await.map_err(|_| "refused")?;
        stream.set_nodelay(true).map_err(|_| "refused")?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_push(false);
        let (sender, connection) = builder.handshake(stream).await.map_err(|_| "garbage")?;
        let driver = spawn_local(connection).abort_handle();
        self.counts.reopened += u32::from(self.is_used);
        self.is_used = false;
        self.open = Some(Open { sender, driver });
        Ok(())
    }

    pub fn close(&mut self) {
        self.open = None;
    }

    pub async fn exchange(&mut self, head: &hyper::Request<()>, message: &Bytes) -> Exchange {
        loop {
            if self.open.is_none()
                && let Err(what) = self.open().await
            {
                return Exchange::Failed(what);
            }
            let Some(open) = &mut self.open else { return Exchange::Failed("refused") };
            let found = call(open, head.clone(), message.clone()).await;
            let was_used = std::mem::replace(&mut self.is_used, true);
            match found {
                Ok(code) => return Exchange::Answer { code, is_good: code == 0 },
                // A GOAWAY, or the end of a connection that was kept.
                Err(Broken::Before) if was_used => {
                    self.close();
                    self.counts.resent += 1;
                }
                Err(_) => {
                    self.close();
                    return Exchange::Failed("lost");
                }
            }
        }
    }
}

/// The code of the answer.
async fn call(open: &mut Open, head: hyper::Request<()>, message: Bytes) -> Result<u16, Broken> {
    let before = |_| Broken::Before;
    may_open(&mut open.sender).await.map_err(before)?;
    let (response, mut body) = open.sender.send_request(head, false).map_err(before)?;
    body.send_data(message, true).map_err(before)?;
    let (head, mut body) = response.await.map_err(before)?.into_parts();
    if let Some(code) = code(&head.headers) {
        return Ok(code);
    }
    while let Some(part) = body.data().await {
        let part = part.map_err(|_| Broken::Within)?;
        body.flow_control().release_capacity(part.len()).map_err(|_| Broken::Within)?;
    }
    let trailers = body.trailers().await.map_err(|_| Broken::Within)?;
    trailers.as_ref().and_then(code).ok_or(Broken::Within)
}

/// Waits until another stream may be opened.
async fn may_open(sender: &mut SendRequest<Bytes>) -> Result<(), h2::Error> {
    std::future::poll_fn(|context| sender.poll_ready(context)).await
}

fn code(headers: &HeaderMap) -> Option<u16> {
    headers.get(STATUS)?.to_str().ok()?.parse().ok()
}

pub fn prepare(authority: &str, path: &str, request: &Request) -> Result<Prepared, Unmeasured> {
    let mut head = hyper::Request::post(format!("http://{authority}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    let head = head.body(()).map_err(|error| Unmeasured(format!("{path}: {error}")))?;
    let length = u32::try_from(request.body.len()).map_err(|_| Unmeasured("the message is too long".to_owned()))?;
    let message = [&[0][..], &length.to_be_bytes(), &request.body].concat().into();
    Ok(Prepared::Grpc { head: Box::new(head), message })
}
