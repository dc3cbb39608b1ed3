//! A sample of requests with their answers, as lines of JSON for a log.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::inference::now;
use crate::json::{Cursor, write_text, write_whole};
use crate::outbox::Outbox;
use crate::token::Ids;

/// Records that wait to be written.
const MOST_BYTES: usize = 8 << 20;
/// A request or answer that is longer is not logged: the record is dropped and counted.
const LONGEST: usize = 256 << 10;

pub struct Payloads {
    ratio: f64,
    pub outbox: Outbox,
}

impl Payloads {
    pub fn new(ratio: f64) -> Payloads {
        Payloads { ratio, outbox: Outbox::new(MOST_BYTES) }
    }

    /// Whether the next request is among the sample.
    pub fn picks(&self, ids: &mut Ids) -> bool {
        self.ratio >= 1.0 || (u64::from_ne_bytes(ids.fresh()) as f64) < self.ratio * u64::MAX as f64
    }

    pub fn add(&self, record: &Record<'_>) {
        let length = record.answer.iter().map(Bytes::len).sum::<usize>();
        if record.request.len() > LONGEST || length > LONGEST {
            self.outbox.drop_one();
        } else {
            self.outbox.push(record.line(now()));
        }
    }
}

/// A request and its answer; binary ones in base64.
pub struct Record<'a> {
    pub method: &'a str,
    pub version: &'a str,
    pub code: u16,
    pub trace: Option<[u8; 16]>,
    pub request: &'a [u8],
    /// One after the other; empty where the request was refused.
    pub answer: &'a [Bytes],
}

impl Record<'_> {
    fn line(&self, time: i64) -> Vec<u8> {
        let mut line = b"{\"time\":".to_vec();
        write_whole(&mut line, time);
        line.extend_from_slice(b",\"method\":");
        write_text(&mut line, self.method);
        line.extend_from_slice(b",\"version\":");
        write_text(&mut line, self.version);
        line.extend_from_slice(b",\"code\":");
        write_whole(&mut line, self.code);
        if let Some(trace) = self.trace {
            let digits: String = trace.iter().map(|byte| format!("{byte:02x}")).collect();
            line.extend_from_slice(b",\"trace\":");
            write_text(&mut line, &digits);
        }
        write_body(&mut line, "request", self.request);
        let answer = match self.answer {
            [one] => Cow::Borrowed(one.as_ref()),
            parts => Cow::Owned(parts.concat()),
        };
        write_body(&mut line, "answer", &answer);
        line.extend_from_slice(b"}\n");
        line
    }
}

/// JSON as it is, on one line; anything else as a text, or in base64 under another name.
fn write_body(line: &mut Vec<u8>, name: &str, body: &[u8]) {
    let mut cursor = Cursor::new(body);
    let is_json = cursor.skip().is_ok() && cursor.end().is_ok();
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    if is_json {
        line.extend_from_slice(b"\":");
        // Between its texts, which have none, JSON may break its lines.
        line.extend(body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    } else if let Ok(text) = std::str::from_utf8(body) {
        line.extend_from_slice(b"_text\":");
        write_text(line, text);
    } else {
        line.extend_from_slice(b"_base64\":\"");
        line.extend_from_slice(STANDARD.encode(body).as_bytes());
        line.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record<'a>(request: &'a [u8], answer: &'a [Bytes]) -> Record<'a> {
        Record { method: "infer", version: "7", code: 200, trace: None, request, answer }
    }

    #[test]
    fn a_record_is_a_line() {
        let two = [Bytes::from_static(b"{\"a\":"), Bytes::from_static(b"1}")];
        for (request, answer, rest) in [
            (&b"{\"x\":\n1}"[..], &two[..], r#""request":{"x": 1},"answer":{"a":1}}"#),
            (b"a,b\n1,2", &two[..], r#""request_text":"a,b\n1,2","answer":{"a":1}}"#),
            (b"\xff\x00", &[], r#""request_base64":"/wA=","answer_text":""}"#),
        ] {
            let line = String::from_utf8(record(request, answer).line(5)).unwrap();
            assert_eq!(line, format!("{{\"time\":5,\"method\":\"infer\",\"version\":\"7\",\"code\":200,{rest}\n"));
        }
        let traced = Record { trace: Some([10; 16]), ..record(b"1", &[]) };
        assert!(String::from_utf8(traced.line(5)).unwrap().contains(&format!("\"trace\":\"{}\"", "0a".repeat(16))));
    }

    #[test]
    fn what_is_too_long_is_dropped() {
        let payloads = Payloads::new(1.0);
        payloads.add(&record(&vec![b' '; LONGEST + 1], &[]));
        payloads.add(&record(b"{}", &[]));
        assert_eq!(payloads.outbox.counts(), (1, 1));
        assert_eq!(payloads.outbox.take(Duration::ZERO).map(|records| records.len()), Some(1));
    }

    #[test]
    fn a_sample_is_picked() {
        let mut ids = Ids::default();
        let mut others = Ids::default();
        let quarter = Payloads::new(0.25);
        let picked = (0..10_000).filter(|_| quarter.picks(&mut others)).count();
        assert!((0..100).all(|_| Payloads::new(1.0).picks(&mut ids)));
        assert!((0..100).all(|_| !Payloads::new(0.0).picks(&mut ids)));
        assert!((2000..3000).contains(&picked), "by chance: one in 10^30 is not");
    }
}
