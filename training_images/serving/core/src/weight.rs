//! What an inference request of gRPC takes in memory once it is decoded, found out before it is: two bytes of a message
//! may become hundreds.

use bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::refusal::Refusal;
use crate::request::MAX_OUTPUTS;
use crate::tensor::MAX_RANK;

/// Of the request, and of each of its tensors.
const MAX_PARAMETERS: usize = 256;
/// What a vector takes at most while it grows, in times of what it holds.
const GROWTH: usize = 2;

/// Bytes that the parts of `message` take beside those of its own. Refuses more parts than a request can have: `inputs`
/// are those of the model.
pub fn weigh(message: &[u8], inputs: usize) -> Result<usize, Refusal> {
    let (mut tensors, mut outputs, mut raw, mut parameters) =
        (Count::new(inputs), Count::new(MAX_OUTPUTS), Count::new(inputs), Count::new(MAX_PARAMETERS));
    let mut weight = 0;
    each_field(message, |number, value| {
        match number {
            4 => parameters.one("parameters")?,
            5 => {
                tensors.one("inputs")?;
                weight += weigh_input(value)?;
            }
            6 => {
                outputs.one("outputs")?;
                let mut parameters = Count::new(MAX_PARAMETERS);
                each_field(value, |number, _| if number == 2 { parameters.one("parameters") } else { Ok(()) })?;
            }
            7 => raw.one("raw_input_contents")?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(weight)
}

fn weigh_input(tensor: &[u8]) -> Result<usize, Refusal> {
    let (mut parameters, mut rank) = (Count::new(MAX_PARAMETERS), Count::new(MAX_RANK));
    let mut weight = 0;
    each_field(tensor, |number, value| {
        match number {
            3 => rank.add(varints(value), "sizes in a shape")?,
            4 => parameters.one("parameters")?,
            5 => each_field(value, |number, value| {
                weight += GROWTH * weigh_values(number, value);
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(weight)
}

/// Of a field of a tensor's contents, which holds one value or, packed, many.
fn weigh_values(field: u32, value: &[u8]) -> usize {
    match field {
        1 => varints(value),
        2 | 4 => 4 * varints(value),
        3 | 5 => 8 * varints(value),
        8 => size_of::<bytes::Bytes>(),
        _ => value.len(),
    }
}

/// Numbers of varying length end with a byte whose first bit is not set.
fn varints(value: &[u8]) -> usize {
    value.iter().filter(|byte| **byte < 0x80).count()
}

struct Count {
    found: usize,
    most: usize,
}

impl Count {
    fn new(most: usize) -> Count {
        Count { found: 0, most }
    }

    fn one(&mut self, what: &str) -> Result<(), Refusal> {
        self.add(1, what)
    }

    fn add(&mut self, more: usize, what: &str) -> Result<(), Refusal> {
        self.found += more;
        if self.found > self.most {
            return Err(Refusal::bad(format!("message: has more than {} {what}", self.most)));
        }
        Ok(())
    }
}

/// Calls `each` with the number and bytes of every field of a message.
fn each_field(message: &[u8], mut each: impl FnMut(u32, &[u8]) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let malformed = |error| Refusal::bad(format!("message: {error}"));
    let mut rest = message;
    while !rest.is_empty() {
        let (number, kind) = decode_key(&mut rest).map_err(malformed)?;
        let value = if kind == WireType::LengthDelimited {
            let length = decode_varint(&mut rest).map_err(malformed)?;
            let cut = || Refusal::bad(format!("message: field {number} is cut off"));
            let length = usize::try_from(length).ok().filter(|length| *length <= rest.len()).ok_or_else(cut)?;
            let value = &rest[..length];
            rest.advance(length);
            value
        } else {
            let before = rest;
            skip_field(kind, number, &mut rest, DecodeContext::default()).map_err(malformed)?;
            &before[..before.len() - rest.len()]
        };
        each(number, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;

    use super::*;
    use crate::protocol::{Contents, InferRequest, InferTensor, Parameter, RequestedOutput};

    fn tensor(contents: Contents) -> InferTensor {
        InferTensor { contents: Some(contents), ..InferTensor::default() }
    }

    #[test]
    fn what_a_message_takes() {
        let text = size_of::<Bytes>();
        for (contents, weight) in [
            (Contents::default(), 0),
            (Contents { bools: vec![true; 3], ..Contents::default() }, 3),
            (Contents { ints: vec![1, -1], ..Contents::default() }, 8),
            (Contents { uint64s: vec![1, u64::MAX], ..Contents::default() }, 16),
            (Contents { fp32s: vec![1.0; 5], ..Contents::default() }, 20),
            (Contents { fp64s: vec![1.0; 5], ..Contents::default() }, 40),
            (Contents { texts: vec![Bytes::new(); 7], ..Contents::default() }, 7 * text),
        ] {
            let request = InferRequest { inputs: vec![tensor(contents.clone())], ..InferRequest::default() };
            assert_eq!(weigh(&request.encode_to_vec(), 1), Ok(GROWTH * weight), "{contents:?}");
        }
        let raw = InferRequest { raw_inputs: vec![Bytes::from(vec![0; 99])], ..InferRequest::default() };
        assert_eq!(weigh(&raw.encode_to_vec(), 1), Ok(0), "it stays where it is");
    }

    #[test]
    fn a_request_has_so_many_parts_and_no_more() {
        let whole = InferRequest::default;
        let names = || (0..300).map(|place| (place.to_string(), Parameter::default())).collect();
        for (request, said) in [
            (InferRequest { inputs: vec![InferTensor::default(); 3], ..whole() }, "message: has more than 2 inputs"),
            (
                InferRequest { raw_inputs: vec![Bytes::new(); 3], ..whole() },
                "message: has more than 2 raw_input_contents",
            ),
            (
                InferRequest { outputs: vec![RequestedOutput::default(); 257], ..whole() },
                "message: has more than 256 outputs",
            ),
            (InferRequest { parameters: names(), ..whole() }, "message: has more than 256 parameters"),
            (
                InferRequest { inputs: vec![InferTensor { parameters: names(), ..InferTensor::default() }], ..whole() },
                "message: has more than 256 parameters",
            ),
            (
                InferRequest { inputs: vec![InferTensor { shape: vec![1; 17], ..InferTensor::default() }], ..whole() },
                "message: has more than 16 sizes in a shape",
            ),
        ] {
            assert_eq!(weigh(&request.encode_to_vec(), 2).unwrap_err().message, said);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in
            [&b"\xff\xff"[..], b"\x2a\x05a", b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x2a\x02\x2a\x05"]
        {
            assert!(weigh(bytes, 2).is_err(), "{bytes:?}");
        }
    }
}
