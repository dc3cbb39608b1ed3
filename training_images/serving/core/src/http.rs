//! The HTTP interface: routes of the Open Inference Protocol v2, and feedback.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use percent_encoding::percent_decode_str;

use crate::connection::{Pace, Turn};
use crate::grpc;
use crate::inference;
use crate::json::{write_text, write_whole};
use crate::limits::{Held, REQUEST};
use crate::metrics::Reason;
use crate::refusal::Refusal;
use crate::server::Worker;
use crate::tensor::{Dim, Spec};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// Length of the JSON before the binary tensors, in requests and answers.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// Header of feedback that comes from a replica: it is scored where it arrives.
const HANDED_OVER: HeaderName = HeaderName::from_static("modelcycle-handed-over");

/// The body of an answer: parts that are sent one after the other as they are, and gRPC's trailers.
#[derive(Default)]
pub struct Payload {
    parts: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Payload {
    pub fn of(parts: impl IntoIterator<Item = Bytes>) -> Payload {
        Payload { parts: parts.into_iter().filter(|part| !part.is_empty()).collect(), trailers: None }
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

/// The response to any request at all: what goes wrong becomes a status and a message.
pub async fn handle(worker: Rc<Worker>, pace: Rc<Pace>, request: Request<Incoming>) -> Response<Payload> {
    let turn = pace.begin();
    let is_http2 = request.version() == Version::HTTP_2;
    if grpc::is_grpc(&request) {
        let response = grpc::handle(&worker, request).await;
        if is_last(&worker, &turn) {
            pace.last.notify_one();
        }
        return response;
    }
    let mut response = match route(&worker, request).await {
        Ok(response) => response,
        Err(refused) => refused.response(&pace),
    };
    match is_last(&worker, &turn) || pace.unread.get() {
        // In HTTP/2 it is said by a frame, not by a header.
        true if is_http2 => pace.last.notify_one(),
        true => drop(response.headers_mut().insert(CONNECTION, CLOSE)),
        false => {}
    }
    response
}

/// Whether the client should come back by another connection.
fn is_last(worker: &Worker, turn: &Turn) -> bool {
    turn.number >= worker.shared.limits.requests_per_connection || worker.shared.state.is_draining()
}

/// A refusal, and whether the request's body was read to its end.
pub struct Refused {
    pub refusal: Refusal,
    unread: bool,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused { refusal, unread: false }
    }
}

impl Refused {
    fn response(self, pace: &Pace) -> Response<Payload> {
        if self.unread {
            pace.unread.set(true);
        }
        let mut json = b"{\"error\":".to_vec();
        write_text(&mut json, &self.refusal.message);
        json.push(b'}');
        let mut response = answered(StatusCode::from_u16(self.refusal.status).unwrap_or_default(), json);
        if let Some(seconds) = self.refusal.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn answered(status: StatusCode, json: Vec<u8>) -> Response<Payload> {
    let mut response = Response::new(Payload::of([Bytes::from(json)]));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

async fn route(worker: &Rc<Worker>, request: Request<Incoming>) -> Result<Response<Payload>, Refused> {
    let shared = worker.shared.clone();
    let path = request.uri().path();
    if shared.infer_paths.iter().any(|one| one == path) {
        return infer(worker, request).await;
    }
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let unread = is_long(&request);
    let refused = |status, message: String| Err(Refused { refusal: Refusal::new(status, message), unread });
    let method = request.method().clone();
    let get = |json: Result<String, Refusal>| {
        if method != Method::GET {
            return refused(405, format!("{path} takes GET, not {method}"));
        }
        json.map(|json| answered(StatusCode::OK, json.into_bytes())).map_err(|refusal| Refused { refusal, unread })
    };
    let rest = match parts.as_slice() {
        ["v2"] => return get(Ok(SERVER.to_owned())),
        ["v2", "health", "live"] => return get(Ok("{\"live\":true}".to_owned())),
        ["v2", "health", "ready"] => return get(shared.state.check_ready().map(|()| "{\"ready\":true}".to_owned())),
        ["v2", "models", name, rest @ ..] if *name == shared.model => rest,
        ["v2", "models", name, ..] => {
            return refused(404, format!("model '{name}' is not served here; {} is", shared.model));
        }
        _ => return refused(404, format!("{path} is not served; {} is", shared.infer_paths[0])),
    };
    let rest = match rest {
        ["versions", version, rest @ ..] if *version == shared.version => rest,
        ["versions", version, ..] => {
            return refused(404, format!("version '{version}' is not served here; {} is", shared.version));
        }
        rest => rest,
    };
    match rest {
        [] => get(Ok(metadata(&shared.model, &shared.version, &shared.engine.inputs, &shared.engine.outputs))),
        ["ready"] => get(shared.state.check_ready().map(|()| {
            let mut json = b"{\"name\":".to_vec();
            write_text(&mut json, &shared.model);
            json.extend_from_slice(b",\"ready\":true}");
            String::from_utf8_lossy(&json).into_owned()
        })),
        ["infer"] => infer(worker, request).await,
        ["feedback"] => feedback(worker, request).await,
        _ => refused(404, format!("{path} is not served; infer, feedback and ready are")),
    }
}

const SERVER: &str = r#"{"name":"modelcycle","version":"v2","extensions":["binary_tensor_data"]}"#;

fn metadata(model: &str, version: &str, inputs: &[Spec], outputs: &[Spec]) -> String {
    let mut json = b"{\"name\":".to_vec();
    write_text(&mut json, model);
    json.extend_from_slice(b",\"versions\":[");
    write_text(&mut json, version);
    json.extend_from_slice(b"],\"platform\":\"onnxruntime_onnx\",\"inputs\":");
    write_specs(&mut json, inputs);
    json.extend_from_slice(b",\"outputs\":");
    write_specs(&mut json, outputs);
    json.push(b'}');
    String::from_utf8_lossy(&json).into_owned()
}

/// Tensors of the model's metadata; a size that may vary is -1.
fn write_specs(json: &mut Vec<u8>, specs: &[Spec]) {
    json.push(b'[');
    for (place, spec) in specs.iter().enumerate() {
        json.extend_from_slice(if place == 0 { b"{\"name\":" } else { b",{\"name\":" });
        write_text(json, &spec.name);
        json.extend_from_slice(b",\"datatype\":");
        write_text(json, spec.datatype.name());
        json.extend_from_slice(b",\"shape\":[");
        for (place, size) in sizes(spec).enumerate() {
            if place > 0 {
                json.push(b',');
            }
            write_whole(json, size);
        }
        json.extend_from_slice(b"]}");
    }
    json.push(b']');
}

pub fn sizes(spec: &Spec) -> impl Iterator<Item = i64> {
    spec.dims.iter().map(|dim| if let Dim::Fixed(size) = dim { *size } else { -1 })
}

/// Whether there is more to a request than is read and dropped for the sake of the next on its connection.
fn is_long(request: &Request<Incoming>) -> bool {
    const SHORT: u64 = 16 * 1024;
    request.body().size_hint().upper().is_none_or(|length| length > SHORT)
}

fn only_post(request: &Request<Incoming>) -> Result<(), Refused> {
    if request.method() == Method::POST {
        return Ok(());
    }
    let message = format!("{} takes POST, not {}", request.uri().path(), request.method());
    Err(Refused { refusal: Refusal::new(405, message), unread: is_long(request) })
}

async fn infer(worker: &Rc<Worker>, request: Request<Incoming>) -> Result<Response<Payload>, Refused> {
    only_post(&request)?;
    let metrics = &worker.shared.metrics;
    let _under_way = metrics.begin();
    let (head, body) = request.into_parts();
    let body = match read_body(worker, &head.headers, body).await {
        Ok(body) => body,
        Err(refused) => {
            metrics.request(refused.refusal.status, None);
            return Err(refused);
        }
    };
    let started = Instant::now();
    let answered = match split(&head.headers, body.bytes.clone()) {
        Ok((json, tail)) => inference::answer(worker, &json, &tail, started).await,
        Err(refusal) => Err(refusal),
    };
    let code = answered.as_ref().map_or_else(|refusal| refusal.status, |_| 200);
    metrics.request(code, Some(started.elapsed()));
    let answer = answered?;
    let mut response = Response::new(Payload::default());
    let headers = response.headers_mut();
    if answer.tail.is_empty() {
        headers.insert(CONTENT_TYPE, JSON);
    } else {
        headers.insert(CONTENT_TYPE, OCTETS);
        headers.insert(JSON_LENGTH, HeaderValue::from(answer.json.len()));
    }
    *response.body_mut() = Payload::of([Bytes::from(answer.json)].into_iter().chain(answer.tail));
    Ok(response)
}

/// The JSON of a body, and the bytes of binary tensors after it.
fn split(headers: &HeaderMap, mut body: Bytes) -> Result<(Bytes, Bytes), Refusal> {
    let Some(sent) = headers.get(JSON_LENGTH) else { return Ok((body, Bytes::new())) };
    let length = sent.to_str().ok().and_then(|text| text.trim().parse::<usize>().ok());
    match length.filter(|length| *length <= body.len()) {
        Some(length) => {
            let tail = body.split_off(length);
            Ok((body, tail))
        }
        None => Err(Refusal::bad(format!(
            "Inference-Header-Content-Length: must be a whole number, at most the body's {}",
            body.len()
        ))),
    }
}

/// Feedback is scored by Python; it only passes through here.
async fn feedback(worker: &Rc<Worker>, request: Request<Incoming>) -> Result<Response<Payload>, Refused> {
    only_post(&request)?;
    let handed_over = request.headers().contains_key(HANDED_OVER);
    let (head, body) = request.into_parts();
    let body = read_body(worker, &head.headers, body).await?;
    let (status, json) = worker.shared.feedback.ask(body.bytes.to_vec(), handed_over).await?;
    Ok(answered(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), json))
}

/// A body, and its part of the memory that bodies may take.
pub struct Whole {
    pub bytes: Bytes,
    _held: Held,
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
        held.add(part.len()).inspect_err(|_| worker.shared.metrics.reject(Reason::Memory))?;
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
    Ok(Whole { bytes: all.map_or(first, BytesMut::freeze), _held: held })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Datatype;

    #[test]
    fn what_a_model_says_of_itself() {
        let spec = |name: &str, dims| Spec { name: name.to_owned(), datatype: Datatype::Fp32, dims };
        let inputs = [spec("x", vec![Dim::Free, Dim::Fixed(2)]), spec("z", vec![])];
        assert_eq!(
            metadata("hedge", "7", &inputs, &[]),
            concat!(
                r#"{"name":"hedge","versions":["7"],"platform":"onnxruntime_onnx","inputs":["#,
                r#"{"name":"x","datatype":"FP32","shape":[-1,2]},{"name":"z","datatype":"FP32","shape":[]}],"outputs":[]}"#
            )
        );
    }

    #[test]
    fn a_body_is_split_where_its_header_says() {
        let with = |value: &'static str| {
            let headers = HeaderMap::from_iter([(JSON_LENGTH, HeaderValue::from_static(value))]);
            split(&headers, Bytes::from_static(b"{}rest")).map_err(|refusal| refusal.status)
        };
        assert_eq!(with("2"), Ok((Bytes::from_static(b"{}"), Bytes::from_static(b"rest"))));
        assert_eq!(with("6"), Ok((Bytes::from_static(b"{}rest"), Bytes::new())));
        for value in ["7", "-1", "x", ""] {
            assert_eq!(with(value), Err(400), "{value}");
        }
        assert_eq!(split(&HeaderMap::new(), Bytes::from_static(b"{}")), Ok((Bytes::from_static(b"{}"), Bytes::new())));
    }
}
