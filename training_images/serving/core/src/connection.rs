//! A client's connection: bounded in requests and in patience.
//!
//! It is closed after so many requests, by `Connection: close` on the last answer, so that clients spread over the
//! replicas again; and cut off when its client dawdles, however slowly its bytes trickle.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Sleep;

use crate::limits::{IDLE, LINGER, REQUEST, SEND};

/// What is known of a connection's pace.
pub struct Pace {
    /// Requests under way.
    busy: Cell<u32>,
    served: Cell<u32>,
    /// For the next request.
    deadline: Cell<Instant>,
    /// Since when the client takes nothing of its answer.
    stuck: Cell<Option<Instant>>,
    /// It was late already when it was last looked at.
    urged: Cell<bool>,
    /// The rest of a refused request is still to come.
    pub unread: Cell<bool>,
    /// The client is late: the connection ends now.
    pub cut: Notify,
    /// No further request is wanted.
    pub last: Notify,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace {
            busy: Cell::new(0),
            served: Cell::new(0),
            deadline: Cell::new(now + REQUEST),
            stuck: Cell::new(None),
            urged: Cell::new(false),
            unread: Cell::new(false),
            cut: Notify::new(),
            last: Notify::new(),
        }
    }

    /// A request's headers are there.
    pub fn begin(self: &Rc<Self>) -> Turn {
        self.busy.set(self.busy.get() + 1);
        self.served.set(self.served.get().saturating_add(1));
        Turn { pace: self.clone(), number: self.served.get() }
    }

    fn end(&self, now: Instant) {
        self.busy.set(self.busy.get() - 1);
        self.deadline.set(now + IDLE);
    }

    fn is_late(&self, now: Instant) -> bool {
        let waits_for_us = self.busy.get() > 0;
        let is_stuck = self.stuck.get().is_some_and(|since| now > since + SEND);
        is_stuck || (!waits_for_us && now > self.deadline.get())
    }

    /// Asks a client that is late to come by another connection, as HTTP/2 can, and ends this one the next time.
    pub fn urge(&self, now: Instant) {
        if !self.is_late(now) {
            self.urged.set(false);
        } else if self.urged.replace(true) {
            self.cut.notify_one();
        } else {
            self.last.notify_one();
        }
    }
}

/// A request under way, until it is dropped: answered, or given up by its client.
pub struct Turn {
    pub pace: Rc<Pace>,
    /// Of the request on its connection, from 1.
    pub number: u32,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pace.end(Instant::now());
    }
}

/// A socket that knows how its client keeps up.
pub struct Socket {
    stream: TcpStream,
    pace: Rc<Pace>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub fn new(stream: TcpStream, pace: Rc<Pace>) -> Socket {
        Socket { stream, pace, lingering: None }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending if self.pace.stuck.get().is_none() => self.pace.stuck.set(Some(Instant::now())),
            Poll::Pending => {}
            Poll::Ready(_) => self.pace.stuck.set(None),
        }
        written
    }

    /// Reads on until the client ends too: a socket that is closed with bytes unread would take our last answer back.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let deadline = self.lingering.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut memory = [0; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut memory);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        if self.pace.unread.get() { self.poll_linger(context) } else { Poll::Ready(Ok(())) }
    }
}

/// Whether a connection that begins with these bytes speaks HTTP/2 (as gRPC does); `None` if they are too few to tell.
pub fn is_http2(first: &[u8]) -> Option<bool> {
    const PREFACE: &[u8] = b"PRI";
    let length = first.len().min(PREFACE.len());
    if first[..length] != PREFACE[..length] {
        return Some(false);
    }
    (length == PREFACE.len()).then_some(true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_client_that_dawdles_is_late() {
        let start = Instant::now();
        let pace = Rc::new(Pace::new(start));
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!pace.is_late(after(20)));
        assert!(pace.is_late(after(21)), "no request came");
        let turn = pace.begin();
        assert_eq!(turn.number, 1);
        assert!(!pace.is_late(after(1000)), "it waits for us");
        drop(turn);
        pace.deadline.set(after(1075));
        assert!(!pace.is_late(after(1075)));
        assert!(pace.is_late(after(1076)), "no second request came");
        let turn = pace.begin();
        assert_eq!(turn.number, 2);
        pace.stuck.set(Some(after(2000)));
        assert!(!pace.is_late(after(2030)));
        assert!(pace.is_late(after(2031)), "it does not read its answer");
    }

    #[test]
    fn a_client_that_is_late_is_asked_before_it_is_cut_off() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let mut asked = told(&pace);
        for (seconds, found) in [(1, (false, false)), (30, (true, false)), (31, (false, true))] {
            pace.urge(start + Duration::from_secs(seconds));
            assert_eq!(asked(), found, "{seconds}");
        }
    }

    /// Says whether the client was asked to end, and whether it was cut off, since the last call.
    fn told(pace: &Pace) -> impl FnMut() -> (bool, bool) {
        let is_told = |notify: &Notify| {
            let mut told = std::pin::pin!(notify.notified());
            told.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
        };
        move || (is_told(&pace.last), is_told(&pace.cut))
    }

    #[test]
    fn how_a_connection_begins() {
        for (first, found) in [
            (&b""[..], None),
            (b"P", None),
            (b"PR", None),
            (b"PRI * HTTP/2.0", Some(true)),
            (b"POST / HTTP/1.1", Some(false)),
            (b"PROPFIND", Some(false)),
            (b"GET", Some(false)),
            (b"\x16\x03", Some(false)),
        ] {
            assert_eq!(is_http2(first), found, "{first:?}");
        }
    }
}
