//! An inference request of the Open Inference Protocol v2 as JSON, alone or before the bytes of binary tensors.

use bytes::Bytes;

use crate::event_time::{self, EventTimes};
use crate::json::{Cursor, Kind, Malformed, shown};
use crate::limits::Held;
use crate::parameters::{Parameters, Urgency, each_parameter, truth};
use crate::refusal::Refusal;
use crate::sent::{SentTensor, Tail, keep, shown_or_none};
use crate::tensor::{self, Spec, Tensor};

/// An output that the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Among the model's outputs.
    pub place: usize,
    pub binary: bool,
}

/// A request that was checked as far as that goes without the model's answer.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub id: Option<String>,
    /// In the order of the model's inputs.
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Wanted>,
    pub rows: usize,
    pub timed: Timed,
}

/// When its rows happened, and until when its answer is of use.
#[derive(Debug, PartialEq)]
pub struct Timed {
    pub event_times: EventTimes,
    pub urgency: Urgency,
}

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Self {
        Refusal::bad(format!("body: not JSON: {error}"))
    }
}

/// Reads the request in `json`; `tail` has the bytes of its binary tensors. `now` is in nanoseconds since 1970; `held` is
/// what the request takes of the memory.
pub fn read(
    inputs: &[Spec],
    outputs: &[Spec],
    json: &[u8],
    tail: &Bytes,
    now: i64,
    held: &mut Held,
) -> Result<Request, Refusal> {
    let mut sent = Sent::default();
    let mut cursor = Cursor::new(json);
    if cursor.kind()? != Kind::Object {
        cursor.skip()?;
        cursor.end()?;
        return Err(Refusal::bad("body: must be an object with inputs"));
    }
    cursor.object(|cursor, name| match name.as_ref() {
        "inputs" => sent.read_inputs(cursor, inputs, held),
        "outputs" => keep(cursor, &mut sent.outputs),
        "parameters" => keep(cursor, &mut sent.parameters),
        "id" => keep(cursor, &mut sent.id),
        _ => Ok(cursor.skip().map(drop)?),
    })?;
    cursor.end()?;
    let tensors = read_tensors(sent.inputs.take(), inputs, tail, held)?;
    tensor::check_names(inputs, &tensors)?;
    let rows = tensors.first().map_or(1, Tensor::rows);
    let parameters = Parameters::read(sent.parameters)?;
    Ok(Request {
        id: read_id(sent.id)?,
        outputs: read_outputs(outputs, sent.outputs, parameters.binary_output)?,
        timed: read_timed(&parameters, rows, now)?,
        inputs: tensors,
        rows,
    })
}

/// The parts of a request as they came.
#[derive(Default)]
struct Sent<'a> {
    inputs: Option<Vec<SentTensor<'a>>>,
    outputs: Option<&'a [u8]>,
    parameters: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
}

impl<'a> Sent<'a> {
    fn read_inputs(&mut self, cursor: &mut Cursor<'a>, specs: &[Spec], held: &mut Held) -> Result<(), Refusal> {
        self.inputs = None;
        if cursor.kind()? != Kind::List {
            return Ok(cursor.skip().map(drop)?);
        }
        let mut found = Vec::with_capacity(specs.len());
        cursor.list(|cursor| {
            if cursor.kind()? != Kind::Object {
                cursor.skip()?;
                return Err(Refusal::bad("inputs: must be a list of tensors"));
            }
            let place = found.len();
            if place > specs.len() {
                return Err(Refusal::bad(format!("inputs: are more than the {} of the model", specs.len())));
            }
            found.push(SentTensor::read(cursor, place, specs, held)?);
            Ok(())
        })?;
        self.inputs = Some(found);
        Ok(())
    }
}

fn read_tensors(
    sent: Option<Vec<SentTensor<'_>>>,
    specs: &[Spec],
    tail: &Bytes,
    held: &mut Held,
) -> Result<Vec<Tensor>, Refusal> {
    let sent = sent.ok_or_else(|| Refusal::bad("inputs: must be a list of tensors"))?;
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let mut tensors: Vec<Option<Tensor>> = specs.iter().map(|_| None).collect();
    let mut tail = Tail::new(tail);
    for (place, one) in sent.into_iter().enumerate() {
        let Some(found) = one.place(specs) else {
            return Err(Refusal::bad(format!(
                "inputs[{place}].name: {} is no input of the model; it has {}",
                shown_or_none(one.name),
                names.join(", ")
            )));
        };
        if tensors[found].is_some() {
            return Err(Refusal::bad(format!("inputs[{place}].name: '{}' is there twice", names[found])));
        }
        tensors[found] = Some(one.tensor(place, &specs[found], &mut tail, held)?);
    }
    tail.check_end()?;
    let missing: Vec<&str> =
        names.iter().zip(&tensors).filter(|(_, one)| one.is_none()).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        Ok(tensors.into_iter().flatten().collect())
    } else {
        Err(Refusal::bad(format!("inputs: {} is missing", missing.join(", "))))
    }
}

fn read_id(raw: Option<&[u8]>) -> Result<Option<String>, Refusal> {
    let Some(raw) = raw else { return Ok(None) };
    let mut cursor = Cursor::new(raw);
    match cursor.kind()? {
        Kind::Null => Ok(None),
        Kind::Text => Ok(Some(cursor.text()?.into_owned())),
        _ => Err(Refusal::bad("id: must be a text")),
    }
}

fn read_outputs(specs: &[Spec], raw: Option<&[u8]>, binary: bool) -> Result<Vec<Wanted>, Refusal> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(raw.unwrap_or(b"null"));
    match cursor.kind()? {
        Kind::Null => {}
        Kind::List => cursor.list(|cursor| {
            found.push(read_output(cursor, found.len(), specs, binary)?);
            Ok::<(), Refusal>(())
        })?,
        _ => return Err(Refusal::bad("outputs: must be a list of {name}")),
    }
    if found.is_empty() {
        found.extend((0..specs.len()).map(|place| Wanted { place, binary }));
    }
    Ok(found)
}

fn read_output(cursor: &mut Cursor<'_>, place: usize, specs: &[Spec], binary: bool) -> Result<Wanted, Refusal> {
    if cursor.kind()? != Kind::Object {
        return Err(Refusal::bad("outputs: must be a list of {name}"));
    }
    if place == MAX_OUTPUTS {
        return Err(Refusal::bad(format!("outputs: are more than {MAX_OUTPUTS}")));
    }
    let (mut name, mut parameters) = (None, None);
    cursor.object(|cursor, field| match field.as_ref() {
        "name" => keep(cursor, &mut name),
        "parameters" => keep(cursor, &mut parameters),
        _ => Ok(cursor.skip().map(drop)?),
    })?;
    let found = name
        .and_then(|raw| Cursor::new(raw).text().ok())
        .and_then(|name| specs.iter().position(|spec| spec.name == name))
        .ok_or_else(|| no_output(place, &shown_or_none(name), specs))?;
    let mut wanted = Wanted { place: found, binary };
    let field = format!("outputs[{place}].parameters");
    each_parameter(
        parameters,
        || field.clone(),
        |cursor, name| {
            let value = cursor.skip()?;
            match name {
                "binary_data" => wanted.binary = truth(value, &format!("{field}.binary_data"))?,
                "classification" => return Err(Refusal::bad(format!("{field}: classification is not served"))),
                "shared_memory_region" => return Err(Refusal::bad(format!("{field}: shared memory is not served"))),
                _ => {}
            }
            Ok(())
        },
    )?;
    Ok(wanted)
}

/// Each is encoded, however often it is named.
pub const MAX_OUTPUTS: usize = 256;

pub fn no_output(place: usize, shown: &str, specs: &[Spec]) -> Refusal {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    Refusal::bad(format!("outputs[{place}].name: {shown} is no output; it has {}", names.join(", ")))
}

pub fn read_timed(parameters: &Parameters<'_>, rows: usize, now: i64) -> Result<Timed, Refusal> {
    Ok(Timed { event_times: read_event_times(parameters.event_time, rows, now)?, urgency: parameters.urgency })
}

fn read_event_times(raw: Option<&[u8]>, rows: usize, now: i64) -> Result<EventTimes, Refusal> {
    let Some(raw) = raw else {
        return Ok(EventTimes::One(now));
    };
    let mut cursor = Cursor::new(raw);
    match cursor.kind()? {
        Kind::Null => Ok(EventTimes::One(now)),
        Kind::Text => Ok(EventTimes::One(event_time::read(&cursor.text()?, now)?)),
        Kind::List => {
            let mut times = Vec::new();
            cursor.list(|cursor| {
                let sent = cursor.skip()?;
                if times.len() == rows {
                    return Err(event_times_of(rows));
                }
                times.push(match Cursor::new(sent).text() {
                    Ok(text) => event_time::read(&text, now)?,
                    Err(_) => return Err(event_time::not_a_time(&shown(sent))),
                });
                Ok(())
            })?;
            if times.len() == rows { Ok(EventTimes::Each(times)) } else { Err(event_times_of(rows)) }
        }
        _ => Err(event_times_of(rows)),
    }
}

fn event_times_of(rows: usize) -> Refusal {
    Refusal::bad(format!("parameters.event_time: must be an RFC 3339 text, or a list of {rows}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tensor::{Data, Datatype, Dim};

    const NOW: i64 = 1_700_000_000_000_000_000;

    fn x() -> Vec<Spec> {
        let dims = vec![Dim::Named("n".to_owned()), Dim::Fixed(2)];
        vec![Spec { name: "x".to_owned(), datatype: Datatype::Fp32, dims }]
    }

    fn yz() -> Vec<Spec> {
        ["y", "z"].map(|name| Spec { name: name.to_owned(), datatype: Datatype::Fp32, dims: vec![Dim::Free] }).to_vec()
    }

    fn parse(json: &str) -> Result<Request, String> {
        parse_with(json, b"")
    }

    fn parse_with(json: &str, tail: &'static [u8]) -> Result<Request, String> {
        read(&x(), &yz(), json.as_bytes(), &Bytes::from_static(tail), NOW, &mut Held::plenty())
            .map_err(|refusal| refusal.message)
    }

    const GOOD: &str = r#"{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}"#;

    fn with(change: &str) -> String {
        format!(r#"{{"inputs":[{GOOD}]{change}}}"#)
    }

    #[test]
    fn a_request() {
        let found = parse(&with(r#","id":"mine""#)).unwrap();
        assert_eq!(found.id.as_deref(), Some("mine"));
        assert_eq!((found.rows, found.timed.event_times), (1, EventTimes::One(NOW)));
        assert_eq!(found.inputs[0].shape, [1, 2]);
        assert_eq!(found.inputs[0].data, Data::Fixed(Bytes::from_static(&[0, 0, 128, 63, 0, 0, 0, 64])));
        assert_eq!(found.outputs, [Wanted { place: 0, binary: false }, Wanted { place: 1, binary: false }]);
    }

    #[test]
    fn fields_come_in_any_order() {
        let usual = parse(&with("")).unwrap();
        for tensor in [
            r#"{"data":[1,2],"shape":[1,2],"datatype":"FP32","name":"x"}"#,
            r#"{"name":"x","data":[[1,2]],"datatype":"FP32","shape":[1,2]}"#,
            r#"{"datatype":"FP64","data":[1,2],"name":"x","shape":[1,2],"datatype":"FP32"}"#,
            r#"{"name":"y","datatype":"FP32","data":[7,7],"data":[1,2],"name":"x","shape":[1,2],"more":{}}"#,
        ] {
            assert_eq!(parse(&format!(r#"{{"inputs":[{tensor}]}}"#)).as_ref(), Ok(&usual), "{tensor}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let tensor = |text: &str| format!(r#"{{"inputs":[{text}]}}"#);
        let change = |from: &str, to: &str| tensor(&GOOD.replace(from, to));
        for (json, said) in [
            ("{".to_owned(), "body: not JSON"),
            ("[1]".to_owned(), "body: must be an object with inputs"),
            (r#"{"inputs":[NaN]}"#.to_owned(), "body: not JSON"),
            ("{}".to_owned(), "inputs: must be a list of tensors"),
            (r#"{"inputs":null}"#.to_owned(), "inputs: must be a list of tensors"),
            (tensor("1"), "inputs: must be a list of tensors"),
            (tensor(""), "inputs: x is missing"),
            (change(r#""x""#, r#""z""#), "inputs[0].name: 'z' is no input of the model; it has x"),
            (change(r#""x""#, "{}"), "inputs[0].name: {} is no input"),
            (tensor(&format!("{GOOD},{GOOD}")), "inputs[1].name: 'x' is there twice"),
            (tensor(&[GOOD; 3].join(",")), "inputs: are more than the 1 of the model"),
            (change("FP32", "FP64"), "inputs[0] (x).datatype: must be FP32, is 'FP64'"),
            (change("[1,2],\"d", "[2,2],\"d"), "inputs[0] (x).data: has 2 values, shape [2, 2] needs 4"),
            (change("[1,2],\"d", "[4],\"d"), "inputs[0] (x).shape: is [4], the model takes x: FP32 [?, 2]"),
            (change("[1,2],\"d", "[0,2],\"d"), "inputs[0] (x).shape: is [0, 2]"),
            (change("[1,2],\"d", "[true,2],\"d"), "inputs[0] (x).shape: must be a list of at most 16 whole numbers"),
            (change("[1,2],\"d", "\"22\",\"d"), "inputs[0] (x).shape: must be a list"),
            (change("[1,2],\"d", "[4611686018427387904,2],\"d"), "inputs[0] (x).data: has 2 values"),
            (change("\"data\":[1,2]", "\"data\":null"), "inputs[0] (x).data: must be a list"),
            (change(",\"data\":[1,2]", ""), "inputs[0] (x).data: must be a list"),
            (with(r#","id":1"#), "id: must be a text"),
            (with(r#","parameters":[1]"#), "parameters: must be an object"),
            (
                with(r#","parameters":{"event_time":1}"#),
                "parameters.event_time: must be an RFC 3339 text, or a list of 1",
            ),
            (with(r#","parameters":{"event_time":[null]}"#), "parameters.event_time: null is no RFC 3339 time"),
            (with(r#","parameters":{"event_time":[]}"#), "parameters.event_time: must be an RFC 3339 text"),
            (with(r#","parameters":{"priority":-1}"#), "parameters.priority: must be a whole number"),
            (with(r#","parameters":{"timeout":"1"}"#), "parameters.timeout: must be a whole number"),
            (with(r#","outputs":{"name":"y"}"#), "outputs: must be a list of {name}"),
            (with(r#","outputs":[1]"#), "outputs: must be a list of {name}"),
            (with(r#","outputs":[{"name":"w"}]"#), "outputs[0].name: 'w' is no output; it has y, z"),
            (with(r#","outputs":[{"name":[]}]"#), "outputs[0].name: [] is no output"),
            (
                with(r#","outputs":[{"name":"y","parameters":{"classification":3}}]"#),
                "outputs[0].parameters: classification",
            ),
            (with("}"), "body: not JSON: more after the value"),
        ] {
            let message = parse(&json).unwrap_err();
            assert!(message.starts_with(said), "{json}: {message}");
        }
    }

    #[test]
    fn outputs_are_those_asked_for() {
        for (sent, places) in [("null", vec![0, 1]), ("[]", vec![0, 1]), (r#"[{"name":"z"}]"#, vec![1])] {
            let found = parse(&with(&format!(r#","outputs":{sent}"#))).unwrap().outputs;
            assert_eq!(found.iter().map(|one| one.place).collect::<Vec<_>>(), places);
        }
        let sent = r#","outputs":[{"name":"z","parameters":{"binary_data":false}},{"name":"y"}],"parameters":{"binary_data_output":true}"#;
        let found = parse(&with(sent)).unwrap().outputs;
        assert_eq!(found, [Wanted { place: 1, binary: false }, Wanted { place: 0, binary: true }]);
    }

    #[test]
    fn event_times_and_urgency() {
        let day = "2008-09-15T00:00:00Z";
        let found =
            parse(&with(&format!(r#","parameters":{{"event_time":["{day}"],"priority":2,"timeout":1500}}"#))).unwrap();
        assert_eq!(found.timed.event_times, EventTimes::Each(vec![1_221_436_800_000_000_000]));
        assert_eq!(found.timed.urgency, Urgency { priority: 2, timeout: Some(Duration::from_micros(1500)) });
    }

    #[test]
    fn binary_tensors() {
        let tensor = |size: &str| {
            format!(
                r#"{{"inputs":[{{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{{"binary_data_size":{size}}}}}]}}"#
            )
        };
        let found = parse_with(&tensor("8"), &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        assert_eq!(found.inputs[0].data, Data::Fixed(Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8])));
        for (json, tail, said) in [
            (tensor("9"), &[0; 8][..], "inputs[0] (x).parameters.binary_data_size: is 9, the body has 8 bytes left"),
            (tensor("7"), &[0; 8], "inputs[0] (x): has 7 bytes, shape [1, 2] of FP32 needs 8"),
            (tensor("8"), &[0; 9], "body: has 1 bytes more"),
            (tensor("-1"), &[0; 8], "inputs[0] (x).parameters.binary_data_size: must be a whole number"),
            (with(""), &[0; 8], "body: has 8 bytes more"),
        ] {
            let message = parse_with(&json, tail).unwrap_err();
            assert!(message.starts_with(said), "{message}");
        }
    }

    #[test]
    fn whatever_comes_is_a_request_or_refused() {
        let seeds = [with(r#","id":"a","parameters":{"event_time":["2008-09-15T00:00:00Z"],"priority":1}"#), with("")];
        let letters = br#"{}[]",:0123456789-+.eE\ntrufals"#;
        let mut state = 7u64;
        let mut next = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for round in 0..100_000 {
            let mut json = seeds[round % 2].clone().into_bytes();
            for _ in 0..=next(4) {
                let place = next(json.len());
                match next(4) {
                    0 => json[place] = letters[next(letters.len())],
                    1 => drop(json.remove(place)),
                    2 => json.insert(place, letters[next(letters.len())]),
                    _ => json[place] = next(256) as u8,
                }
            }
            let tail = Bytes::new();
            if let Err(refusal) = read(&x(), &yz(), &json, &tail, NOW, &mut Held::plenty()) {
                assert_eq!(refusal.status, 400);
            }
        }
    }
}
