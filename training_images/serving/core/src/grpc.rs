//! The gRPC interface: the Open Inference Protocol's `GRPCInferenceService`, on the port of HTTP.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, Version};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use prost::Message;

use crate::answer::raw;
use crate::call::Call;
use crate::contents;
use crate::event_time::{self, EventTimes};
use crate::http::{Payload, Whole, read_body};
use crate::inference;
use crate::parameters::{self, Urgency};
use crate::protocol::{
    Choice, InferRequest, InferResponse, InferTensor, Parameter, Parameters, RAW_OUTPUT_KEY, RequestedOutput,
};
use crate::refusal::Refusal;
use crate::request::no_output;
use crate::tensor::{Spec, Tensor};
use crate::token;
use crate::weight::weigh;
use crate::worker::Worker;

mod about;

use about::check_model;

const SERVICE: &str = "/inference.GRPCInferenceService/";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: &str = "grpc-timeout";
/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Whether a request is gRPC's.
pub fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    request.version() == Version::HTTP_2 && kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// The response to any call at all.
pub async fn handle(worker: &Rc<Worker>, request: Request<Incoming>) -> Response<Payload> {
    match call(worker, request).await {
        Ok(parts) => {
            let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
            respond(Payload::of(parts).with_trailers(trailers))
        }
        Err(refusal) => {
            let mut response = respond(Payload::default());
            response.headers_mut().insert(STATUS, HeaderValue::from(refusal.grpc_code()));
            let message = utf8_percent_encode(&refusal.message, CONTROLS).to_string();
            if let Ok(message) = HeaderValue::from_str(&message) {
                response.headers_mut().insert(MESSAGE, message);
            }
            response
        }
    }
}

fn respond(payload: Payload) -> Response<Payload> {
    let mut response = Response::new(payload);
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

async fn call(worker: &Rc<Worker>, request: Request<Incoming>) -> Result<Vec<Bytes>, Refusal> {
    let (head, body) = request.into_parts();
    let method = head.uri.path().strip_prefix(SERVICE).unwrap_or_default().to_owned();
    if method == "ModelInfer" {
        return answered(worker, &head.headers, body).await;
    }
    let body = read_body(worker, &head.headers, body).await.map_err(|refused| refused.refusal)?;
    Ok(vec![about::answer(&worker.shared, &method, &body.bytes)?])
}

/// Reads an inference request, has it answered, and tells of it.
async fn answered(worker: &Rc<Worker>, headers: &HeaderMap, body: Incoming) -> Result<Vec<Bytes>, Refusal> {
    const METHOD: &str = "ModelInfer";
    let _under_way = worker.shared.metrics.begin();
    let call = worker.call(headers);
    let mut body = match read_body(worker, headers, body).await {
        Ok(body) => body,
        Err(refused) => {
            worker.ended(&call, METHOD, refused.refusal.status, None, &[]);
            return Err(refused.refusal);
        }
    };
    call.read.set(Instant::now());
    let answered = infer(worker, headers, &mut body, &call).await;
    let (code, parts) = answered.as_ref().map_or_else(|refusal| (refusal.status, &[][..]), |parts| (200, parts));
    worker.ended(&call, METHOD, code, Some(&body.bytes), parts);
    answered
}

fn malformed(error: prost::DecodeError) -> Refusal {
    Refusal::bad(format!("message: {error}"))
}

/// A message with its prefix.
fn framed(message: &impl Message) -> Bytes {
    let mut out = prefix(message.encoded_len());
    message.encode_raw(&mut out);
    out.into()
}

fn prefix(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + length);
    out.push(0);
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out
}

/// The one message of a call.
fn unframed(body: &Bytes) -> Result<Bytes, Refusal> {
    match body.as_ref() {
        [0, a, b, c, d, rest @ ..] if u32::from_be_bytes([*a, *b, *c, *d]) as usize == rest.len() => {
            Ok(body.slice(PREFIX..))
        }
        [1, ..] => Err(Refusal::new(415, "message: send it as it is, not compressed")),
        _ => Err(Refusal::bad("message: is not whole")),
    }
}

async fn infer(worker: &Rc<Worker>, headers: &HeaderMap, body: &mut Whole, call: &Call) -> Result<Vec<Bytes>, Refusal> {
    let shared = &worker.shared;
    let message = unframed(&body.bytes)?;
    body.held.add(weigh(&message, shared.engine.inputs.len())?)?;
    let asked = InferRequest::decode(message).map_err(malformed)?;
    check_model(shared, &asked.model_name, &asked.model_version)?;
    let wanted = outputs(&asked.outputs, &shared.engine.outputs)?;
    let mut urgency = urgency(&asked.parameters)?;
    let patience = headers.get(TIMEOUT).and_then(|timeout| patience(timeout.as_bytes()));
    urgency.timeout = [urgency.timeout, patience].into_iter().flatten().min();
    let inputs = contents::read(&asked.inputs, &asked.raw_inputs, &shared.engine.inputs, &mut body.held)?;
    let rows = inputs.first().map_or(1, Tensor::rows);
    let times = event_times(asked.parameters.get("event_time"), rows, inference::now())?;
    let answers = inference::run(worker, inputs, rows, urgency, call).await?;
    let tokens = inference::sign(worker, &answers, rows, &times);
    let response = InferResponse {
        model_name: shared.model.clone(),
        model_version: shared.version.clone(),
        id: asked.id,
        parameters: signed(&tokens),
        outputs: wanted.iter().map(|place| headed(&shared.engine.outputs[*place], &answers[*place])).collect(),
    };
    Ok(with_raw(&response, wanted.iter().map(|place| raw(&answers[*place])).collect()))
}

/// Tokens of rows, separated by commas, since a parameter can be no list.
fn signed(tokens: &[[u8; token::LENGTH]]) -> Parameters {
    if tokens.is_empty() {
        return Parameters::new();
    }
    let text = String::from_utf8_lossy(&tokens.join(&b',')).into_owned();
    let parameter = Parameter { choice: Some(Choice::Text(text)) };
    Parameters::from([("feedback_token".to_owned(), parameter)])
}

fn headed(spec: &Spec, answer: &Tensor) -> InferTensor {
    InferTensor {
        name: spec.name.clone(),
        datatype: spec.datatype.name().to_owned(),
        shape: answer.shape.clone(),
        ..InferTensor::default()
    }
}

/// An answer with the bytes of its outputs, which are sent from where they are.
fn with_raw(response: &InferResponse, outputs: Vec<Bytes>) -> Vec<Bytes> {
    let heads: Vec<Vec<u8>> = outputs
        .iter()
        .map(|output| {
            let mut head = vec![RAW_OUTPUT_KEY];
            prost::encoding::encode_varint(output.len() as u64, &mut head);
            head
        })
        .collect();
    let raw: usize = outputs.iter().zip(&heads).map(|(output, head)| output.len() + head.len()).sum();
    let mut first = prefix(response.encoded_len() + raw);
    response.encode_raw(&mut first);
    let mut parts = Vec::with_capacity(2 * outputs.len() + 1);
    for (head, output) in heads.into_iter().zip(outputs) {
        first.extend_from_slice(&head);
        parts.extend([Bytes::from(std::mem::take(&mut first)), output]);
    }
    parts.push(first.into());
    parts
}

fn outputs(asked: &[RequestedOutput], specs: &[Spec]) -> Result<Vec<usize>, Refusal> {
    if asked.is_empty() {
        return Ok((0..specs.len()).collect());
    }
    let place = |(place, output): (usize, &RequestedOutput)| {
        if let Some(name) =
            ["classification", "shared_memory_region"].into_iter().find(|name| output.parameters.contains_key(*name))
        {
            return Err(Refusal::bad(format!("outputs[{place}].parameters: {name} is not served")));
        }
        let found = specs.iter().position(|spec| spec.name == output.name);
        found.ok_or_else(|| no_output(place, &format!("'{}'", output.name), specs))
    };
    asked.iter().enumerate().map(place).collect()
}

fn urgency(parameters: &Parameters) -> Result<Urgency, Refusal> {
    let mut found = Urgency::default();
    if let Some(sent) = parameters.get("priority") {
        found.priority = parameters::priority(whole(sent))?;
    }
    if let Some(sent) = parameters.get("timeout") {
        found.timeout = parameters::timeout(whole(sent))?;
    }
    Ok(found)
}

fn whole(parameter: &Parameter) -> Option<i128> {
    match parameter.choice {
        Some(Choice::Int64(value)) => Some(value.into()),
        Some(Choice::Uint64(value)) => Some(value.into()),
        _ => None,
    }
}

/// The time of gRPC's own header: digits and a unit.
fn patience(timeout: &[u8]) -> Option<Duration> {
    let (unit, digits) = timeout.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(value * 3600)),
        b'M' => Some(Duration::from_secs(value * 60)),
        b'S' => Some(Duration::from_secs(value)),
        b'm' => Some(Duration::from_millis(value)),
        b'u' => Some(Duration::from_micros(value)),
        b'n' => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// One text for all rows, or as many as there are rows, separated by commas.
fn event_times(sent: Option<&Parameter>, rows: usize, now: i64) -> Result<EventTimes, Refusal> {
    let text = match sent.map(|parameter| &parameter.choice) {
        None => return Ok(EventTimes::One(now)),
        Some(Some(Choice::Text(text))) => text,
        Some(_) => return Err(Refusal::bad("parameters.event_time: must be a text")),
    };
    let times = text.split(',').take(rows + 1).map(|one| event_time::read(one.trim(), now));
    let times = times.collect::<Result<Vec<_>, _>>()?;
    match times.as_slice() {
        [one] => Ok(EventTimes::One(*one)),
        all if all.len() == rows => Ok(EventTimes::Each(times)),
        _ => Err(Refusal::bad(format!("parameters.event_time: must be one time, or {rows} separated by commas"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_message() {
        let response = InferResponse { model_name: "m".to_owned(), ..InferResponse::default() };
        let parts = with_raw(&response, vec![Bytes::from_static(b"abc"), Bytes::new()]);
        let whole = Bytes::from(parts.concat());
        assert_eq!(unframed(&whole), Ok(Bytes::from_static(b"\x0a\x01m\x32\x03abc\x32\x00")));
        assert_eq!(parts[1].as_ptr(), b"abc".as_ptr().cast(), "the output is where it was");
    }

    #[test]
    fn messages_that_are_not_whole() {
        for (body, status) in [(&b""[..], 400), (b"\0\0\0\0\x02a", 400), (b"\x01\0\0\0\0", 415)] {
            assert_eq!(unframed(&Bytes::from_static(body)).unwrap_err().status, status);
        }
    }

    #[test]
    fn how_long_a_client_waits() {
        assert_eq!(patience(b"100m"), Some(Duration::from_millis(100)));
        assert_eq!(patience(b"2H"), Some(Duration::from_secs(7200)));
        for wrong in [&b""[..], b"m", b"1", b"123456789S", b"-1S", b"1x"] {
            assert_eq!(patience(wrong), None);
        }
    }

    #[test]
    fn event_times_of_rows() {
        let text = |text: &str| Parameter { choice: Some(Choice::Text(text.to_owned())) };
        let day = "2008-09-15T00:00:00Z";
        let time = 1_221_436_800_000_000_000;
        assert_eq!(event_times(None, 2, 7), Ok(EventTimes::One(7)));
        assert_eq!(event_times(Some(&text(day)), 2, time), Ok(EventTimes::One(time)));
        let both = text(&format!("{day}, {day}"));
        assert_eq!(event_times(Some(&both), 2, time), Ok(EventTimes::Each(vec![time, time])));
        assert!(event_times(Some(&both), 3, time).is_err());
        assert!(event_times(Some(&Parameter { choice: Some(Choice::Bool(true)) }), 1, time).is_err());
    }
}
