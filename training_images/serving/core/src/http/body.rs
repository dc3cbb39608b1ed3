//! Bodies of requests, read within the limits, and of answers, sent from where they are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};

use super::Refused;
use crate::limits::{Held, REQUEST};
use crate::refusal::Refusal;
use crate::worker::Worker;

/// The body of an answer: parts that are sent one after the other as they are, and gRPC's trailers.
#[derive(Default)]
pub struct Payload {
    parts: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Payload {
    pub fn of(parts: impl Into<VecDeque<Bytes>>) -> Payload {
        let mut parts = parts.into();
        parts.retain(|part| !part.is_empty());
        Payload { parts, trailers: None }
    }

    pub fn with_trailers(mut self, trailers: HeaderMap) -> Payload {
        self.trailers = Some(trailers);
        self
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.parts.pop_front().map(Frame::data);
        Poll::Ready(part.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.parts.iter().map(|part| part.len() as u64).sum())
    }
}

/// A body, and what its request takes of the memory for requests.
pub struct Whole {
    pub bytes: Bytes,
    pub held: Held,
}

/// The body of a request, within the limits.
pub async fn read_body(worker: &Worker, headers: &HeaderMap, body: Incoming) -> Result<Whole, Refused> {
    let limit = worker.shared.limits.body_bytes;
    let unread = !body.is_end_stream();
    let refused = |refusal| Err(Refused { refusal, unread });
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return refused(Refusal::new(415, "Content-Encoding: send the body as it is"));
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = length.filter(|length| *length > limit) {
        return refused(Refusal::new(413, format!("body: has {length} bytes, at most {limit} are taken")));
    }
    let mut reading = pin!(collect(worker, body, length.unwrap_or_default(), limit));
    let seconds = REQUEST.as_secs();
    tokio::select! {
        biased; // The clock is only looked at when the body is not there yet.
        whole = &mut reading => whole.or_else(refused),
        () = tokio::time::sleep(REQUEST) => refused(Refusal::new(408, format!("body: was not there within {seconds} s"))),
    }
}

async fn collect(worker: &Worker, mut body: Incoming, length: usize, limit: usize) -> Result<Whole, Refusal> {
    let mut held = Held::nothing(&worker.shared.budget);
    let mut first = Bytes::new();
    let mut all: Option<BytesMut> = None;
    let mut size = 0;
    while let Some(part) = next_part(&mut body).await? {
        size += part.len();
        if size > limit {
            return Err(Refusal::new(413, format!("body: has more than the {limit} bytes that are taken")));
        }
        held.add(part.len())?;
        match &mut all {
            Some(all) => all.extend_from_slice(&part),
            // Most bodies come in one part, and are used where they are.
            None if first.is_empty() => first = part,
            None => {
                let mut both = BytesMut::with_capacity(length.max(size));
                both.extend_from_slice(&first);
                both.extend_from_slice(&part);
                all = Some(both);
            }
        }
    }
    Ok(Whole { bytes: all.map_or(first, BytesMut::freeze), held })
}

/// The next bytes of a body; `None` at its end.
async fn next_part(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(part) = frame.into_data() {
                    return Ok(Some(part));
                }
            }
            Some(Err(error)) => return Err(Refusal::bad(format!("body: {error}"))),
        }
    }
}
