//! The HTTP interface: routes of the Open Inference Protocol v2, feedback, and what comes from `mlflow models serve`.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Version};
use percent_encoding::percent_decode_str;

use crate::about::statistics;
use crate::call::Call;
use crate::connection::{Pace, Turn};
use crate::grpc;
use crate::inference;
use crate::json::write_text;
use crate::refusal::Refusal;
use crate::worker::Worker;

mod about;
mod body;

pub use body::{Payload, Whole, read_body};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// Length of the JSON before the binary tensors, in requests and answers.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// Header of feedback that comes from a replica: it is scored where it arrives.
const HANDED_OVER: HeaderName = HeaderName::from_static("modelcycle-handed-over");

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
    let ready = |json: String| get(shared.state.check_ready().map(|()| json));
    let rest = match parts.as_slice() {
        ["v2"] => return get(Ok(about::server())),
        ["v2", "health", "live"] => return get(Ok("{\"live\":true}".to_owned())),
        ["v2", "health", "ready"] => return ready("{\"ready\":true}".to_owned()),
        ["v2", "repository", "index"] => return repository(worker, request).await,
        ["v2", "models", name, rest @ ..] if *name == shared.model => rest,
        ["v2", "models", "stats"] => &["stats"],
        ["v2", "models", name, ..] => {
            return refused(404, format!("model '{name}' is not served here; {} is", shared.model));
        }
        ["invocations"] => return invoke(worker, request).await,
        // Those of mlflow's server, which answers them by a line feed alone.
        ["ping" | "health"] => return ready("\n".to_owned()),
        ["version"] => return get(Ok(env!("CARGO_PKG_VERSION").to_owned())),
        _ => return refused(404, format!("{path} is not served; {} is", shared.infer_paths[0])),
    };
    let rest = match rest {
        ["versions", version, rest @ ..] if *version == shared.version => rest,
        ["versions", version, ..] => {
            return refused(404, format!("version '{version}' is not served here; {} is", shared.version));
        }
        rest => rest,
    };
    let (inputs, outputs) = (&shared.engine.inputs, &shared.engine.outputs);
    match rest {
        [] => get(Ok(about::metadata(&shared.model, &shared.version, inputs, outputs))),
        ["ready"] => ready(about::ready(&shared.model)),
        ["config"] => get(Ok(about::config(&shared.model, shared.most_rows, inputs, outputs))),
        ["stats"] => get(Ok(about::statistics(&shared.model, &shared.version, &statistics(&shared.metrics)))),
        ["infer"] => infer(worker, request).await,
        ["feedback"] => feedback(worker, request).await,
        _ => refused(404, format!("{path} is not served; infer, feedback, config, stats and ready are")),
    }
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

/// An answer's parts: JSON, and bytes after it.
type Parts = (Vec<u8>, Vec<Bytes>);

/// Reads an inference request's body, has it answered, and tells of it.
async fn answered_by(
    worker: &Rc<Worker>,
    method: &str,
    request: Request<Incoming>,
    answer: impl AsyncFnOnce(&HeaderMap, &mut Whole, &Call) -> Result<Parts, Refusal>,
) -> Result<Response<Payload>, Refused> {
    only_post(&request)?;
    let _under_way = worker.shared.metrics.begin();
    let (head, body) = request.into_parts();
    let call = worker.call(&head.headers);
    let mut body = match read_body(worker, &head.headers, body).await {
        Ok(body) => body,
        Err(refused) => {
            worker.ended(&call, method, refused.refusal.status, None, &[]);
            return Err(refused);
        }
    };
    call.read.set(Instant::now());
    match answer(&head.headers, &mut body, &call).await {
        Ok((json, tail)) => {
            let mut headers = HeaderMap::with_capacity(4);
            if tail.is_empty() {
                headers.insert(CONTENT_TYPE, JSON);
            } else {
                headers.insert(CONTENT_TYPE, OCTETS);
                headers.insert(JSON_LENGTH, HeaderValue::from(json.len()));
            }
            let parts: Vec<Bytes> = [Bytes::from(json)].into_iter().chain(tail).collect();
            worker.ended(&call, method, 200, Some(&body.bytes), &parts);
            let mut response = Response::new(Payload::of(parts));
            *response.headers_mut() = headers;
            Ok(response)
        }
        Err(refusal) => {
            worker.ended(&call, method, refusal.status, Some(&body.bytes), &[]);
            Err(refusal.into())
        }
    }
}

async fn infer(worker: &Rc<Worker>, request: Request<Incoming>) -> Result<Response<Payload>, Refused> {
    answered_by(worker, "infer", request, async |headers, body, call| {
        let (json, tail) = split(headers, body.bytes.clone())?;
        let answer = inference::answer(worker, &json, &tail, &mut body.held, call).await?;
        Ok((answer.json, answer.tail))
    })
    .await
}

async fn invoke(worker: &Rc<Worker>, request: Request<Incoming>) -> Result<Response<Payload>, Refused> {
    answered_by(worker, "invocations", request, async |headers, body, call| {
        let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let json = inference::invoke(worker, kind, &body.bytes, &mut body.held, call).await?;
        Ok((json, Vec::new()))
    })
    .await
}

/// What Triton's clients ask for by a POST.
async fn repository(worker: &Rc<Worker>, request: Request<Incoming>) -> Result<Response<Payload>, Refused> {
    only_post(&request)?;
    let (head, body) = request.into_parts();
    read_body(worker, &head.headers, body).await?;
    let shared = &worker.shared;
    let json = about::index(&shared.model, &shared.version, shared.state.check_ready());
    Ok(answered(StatusCode::OK, json.into_bytes()))
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

#[cfg(test)]
mod tests {
    use super::*;

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
