//! Traces as OpenTelemetry has them: W3C's `traceparent` in, spans of a request, its wait and its run out as OTLP.

use std::time::{Duration, Instant};

use prost::Message;

use crate::call::Call;
use crate::inference::now;
use crate::outbox::Outbox;
use crate::token::Ids;

mod otlp;

use otlp::{Span, SpansOnly, Status, attribute};

/// Spans that wait to be told.
const MOST_BYTES: usize = 4 << 20;
const SERVER: i32 = 2;
const INTERNAL: i32 = 1;
const ERROR: i32 = 2;
/// Of the flags of `traceparent`.
const SAMPLED: u8 = 1;

/// Who called, as `traceparent` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub is_sampled: bool,
}

/// A request's place in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace: [u8; 16],
    pub parent: Option<[u8; 8]>,
    pub span: [u8; 8],
}

/// Reads `traceparent` (W3C Trace Context, level 1); what is none is as if it was not there.
pub fn parent(value: &[u8]) -> Option<Parent> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let [version] = hex(version)?;
    // A later version may say more after it; 255 is none.
    if version == 255 || (version == 0 && parts.next().is_some()) {
        return None;
    }
    let (trace, span, [flags]) = (hex(trace)?, hex(span)?, hex(flags)?);
    if trace == [0; 16] || span == [0; 8] {
        return None;
    }
    Some(Parent { trace, span, is_sampled: flags & SAMPLED != 0 })
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut found = [0; N];
    for (byte, two) in found.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()?;
    }
    Some(found)
}

/// Whether a request is traced: as its caller is, and of those whose caller says nothing a share of `ratio`, by the trace's
/// id, so that all services of a trace decide alike.
pub fn is_traced(parent: Option<Parent>, trace: [u8; 16], ratio: f64) -> bool {
    if let Some(parent) = parent {
        return parent.is_sampled;
    }
    let mut low = [0; 8];
    low.copy_from_slice(&trace[8..]);
    // Half of a u64, since the ids of some languages have no first bit; the greatest rounds up to 2^63 itself.
    ratio >= 1.0 || ((u64::from_be_bytes(low) >> 1) as f64) < ratio * (1u64 << 63) as f64
}

/// The spans that wait to be told, and which requests have some.
pub struct Traces {
    ratio: f64,
    pub outbox: Outbox,
}

impl Traces {
    pub fn new(ratio: f64) -> Traces {
        Traces { ratio, outbox: Outbox::new(MOST_BYTES) }
    }

    /// The place of a request with this `traceparent`, if it is traced.
    pub fn begin(&self, traceparent: Option<&[u8]>, ids: &mut Ids) -> Option<Context> {
        let parent = traceparent.and_then(parent);
        let trace = parent.map_or_else(|| fresh_trace(ids), |parent| parent.trace);
        is_traced(parent, trace, self.ratio).then(|| Context {
            trace,
            parent: parent.map(|parent| parent.span),
            span: ids.fresh(),
        })
    }

    /// Tells of a request that ended just now.
    pub fn end(&self, call: &Call, method: &str, code: u16, ids: &mut Ids) {
        let Some(context) = call.context else { return };
        let clock = Clock { instant: Instant::now(), unix: now() };
        let mut spans = vec![Span {
            trace: context.trace.to_vec(),
            span: context.span.to_vec(),
            parent: context.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
            name: method.to_owned(),
            kind: SERVER,
            began: clock.unix_of(call.began),
            ended: clock.unix_of(clock.instant),
            attributes: vec![attribute("http.response.status_code", code.into())],
            status: (code >= 500).then_some(Status { code: ERROR }),
        }];
        let mut inner = |name: &str, began, ended, attributes| {
            spans.push(Span {
                trace: context.trace.to_vec(),
                span: ids.fresh().to_vec(),
                parent: context.span.to_vec(),
                name: name.to_owned(),
                kind: INTERNAL,
                began: clock.unix_of(began),
                ended: clock.unix_of(ended),
                attributes,
                status: None,
            });
        };
        if let Some(run) = call.run.get() {
            inner("queue", call.read.get(), run.began, Vec::new());
            let shared = [("modelcycle.batch.requests", run.requests), ("modelcycle.batch.rows", run.rows)];
            let attributes = shared.map(|(name, count)| attribute(name, count as i64)).to_vec();
            inner("run", run.began, run.ended, attributes);
        }
        self.outbox.push(SpansOnly { spans }.encode_to_vec());
    }
}

fn fresh_trace(ids: &mut Ids) -> [u8; 16] {
    let mut trace = [0; 16];
    trace[..8].copy_from_slice(&ids.fresh());
    trace[8..].copy_from_slice(&ids.fresh());
    trace
}

/// Turns instants into nanoseconds since 1970.
struct Clock {
    instant: Instant,
    unix: i64,
}

impl Clock {
    fn unix_of(&self, instant: Instant) -> u64 {
        let before = self.instant.checked_duration_since(instant).unwrap_or(Duration::ZERO);
        (self.unix as u64).saturating_sub(before.as_nanos() as u64)
    }
}

/// A request to an OTLP receiver with the records of an outbox; `resource` are names and values of the server.
pub fn request(resource: &[(String, String)], records: &[Vec<u8>]) -> Vec<u8> {
    otlp::request(resource, records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Run;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn who_called() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        let found = parent(good.as_bytes()).unwrap();
        assert_eq!((found.trace[0], found.span[7], found.is_sampled), (0x0a, 0x31, true));
        assert_eq!(parent(format!("00-{TRACE}-{SPAN}-02").as_bytes()).map(|found| found.is_sampled), Some(false));
        assert!(parent(format!("cc-{TRACE}-{SPAN}-01-more").as_bytes()).is_some(), "a later version");
        for wrong in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{SPAN}-+1"),
        ] {
            assert_eq!(parent(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(parent(b"00-\xff"), None);
    }

    #[test]
    fn who_is_traced() {
        let sampled = |is_sampled| Some(Parent { trace: [1; 16], span: [1; 8], is_sampled });
        for (parent, trace, ratio, found) in [
            (sampled(true), [255; 16], 0.0, true),
            (sampled(false), [0; 16], 1.0, false),
            (None, [255; 16], 1.0, true),
            (None, [0; 16], 0.0, false),
            (None, [0x3f; 16], 0.25, true),
            (None, [0x41; 16], 0.25, false),
        ] {
            assert_eq!(is_traced(parent, trace, ratio), found, "{parent:?} {ratio}");
        }
    }

    #[test]
    fn spans_of_a_request() {
        let (traces, mut ids) = (Traces::new(0.0), Ids::default());
        let header = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(traces.begin(None, &mut ids), None);
        let call = Call::new(traces.begin(Some(header.as_bytes()), &mut ids));
        let now = Instant::now();
        call.run.set(Some(Run { began: now, ended: now, requests: 2, rows: 5 }));
        traces.end(&call, "infer", 500, &mut ids);
        let records = traces.outbox.take(Duration::ZERO).unwrap();
        let spans = SpansOnly::decode(records[0].as_slice()).unwrap().spans;
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["infer", "queue", "run"]);
        assert_eq!(spans[0].parent, hex::<8>(SPAN).unwrap());
        assert!(spans[1..].iter().all(|span| span.parent == spans[0].span && span.trace == spans[0].trace));
        assert!(spans.iter().all(|span| span.began <= span.ended && span.ended > 1_700_000_000_000_000_000));
        assert_eq!(spans[0].status, Some(Status { code: ERROR }));
        let untraced = Call::new(None);
        traces.end(&untraced, "infer", 200, &mut ids);
        assert_eq!(traces.outbox.take(Duration::ZERO), Some(vec![]));
    }
}
