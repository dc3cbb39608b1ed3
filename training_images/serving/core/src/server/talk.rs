//! A connection's life: by which protocol it is spoken, and when it ends.

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::connection::{Pace, Socket, is_http2};
use crate::http;
use crate::limits::{HEADER_BYTES, REQUEST};
use crate::worker::Worker;

const STREAMS: u32 = 256;
const WINDOW: u32 = 1 << 20;
const PING: Duration = Duration::from_secs(30);

/// One connection of a worker; it is known for as long as this lives.
struct Known {
    worker: Rc<Worker>,
    pace: Rc<Pace>,
}

impl Known {
    fn new(worker: Rc<Worker>) -> Known {
        let pace = Rc::new(Pace::new(Instant::now()));
        worker.paces.borrow_mut().push(pace.clone());
        worker.shared.connections.fetch_add(1, Relaxed);
        Known { worker, pace }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.worker.paces.borrow_mut().retain(|pace| !Rc::ptr_eq(pace, &self.pace));
        self.worker.shared.connections.fetch_sub(1, Relaxed);
    }
}

pub async fn connection(worker: Rc<Worker>, stream: std::net::TcpStream) {
    let known = Known::new(worker.clone());
    let pace = known.pace.clone();
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    tokio::select! {
        () = speak(worker, pace.clone(), stream) => {}
        () = pace.cut.notified() => {}
    }
}

async fn speak(worker: Rc<Worker>, pace: Rc<Pace>, stream: TcpStream) {
    let found = tokio::select! {
        found = first_words(&stream) => found,
        () = pace.last.notified() => None,
    };
    let Some(is_http2) = found else { return };
    let service = service_fn({
        let pace = pace.clone();
        move |request| {
            let (worker, pace) = (worker.clone(), pace.clone());
            async move { Ok::<_, Infallible>(http::handle(worker, pace, request).await) }
        }
    });
    let socket = TokioIo::new(Socket::new(stream, pace.clone()));
    if is_http2 {
        let mut builder = http2::Builder::new(LocalExecutor);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .max_frame_size(WINDOW)
            .max_header_list_size(HEADER_BYTES as u32)
            .keep_alive_interval(PING)
            .keep_alive_timeout(REQUEST);
        let mut talk = pin!(builder.serve_connection(socket, service));
        loop {
            tokio::select! {
                _ = talk.as_mut() => return,
                () = pace.last.notified() => talk.as_mut().graceful_shutdown(),
            }
        }
    }
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).max_header_size(HEADER_BYTES).header_read_timeout(None).timer(TokioTimer::new());
    let mut talk = pin!(builder.serve_connection(socket, service));
    loop {
        tokio::select! {
            _ = talk.as_mut() => return,
            () = pace.last.notified() => talk.as_mut().graceful_shutdown(),
        }
    }
}

/// Whether the client speaks HTTP/2, by its first bytes; `None` if it went away.
async fn first_words(stream: &TcpStream) -> Option<bool> {
    const PAUSE: Duration = Duration::from_millis(10);
    let mut first = [0; 3];
    loop {
        let length = stream.peek(&mut first).await.ok().filter(|length| *length > 0)?;
        match is_http2(&first[..length]) {
            Some(found) => return Some(found),
            // No more will come.
            None if stream.ready(Interest::READABLE).await.ok()?.is_read_closed() => return None,
            // What was looked at stays, and would be found at once again.
            None => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// HTTP/2's streams are tasks of the same thread.
#[derive(Clone)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}
