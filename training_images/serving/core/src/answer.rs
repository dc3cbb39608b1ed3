//! An answer of the Open Inference Protocol v2 as JSON, with the bytes of binary tensors after it.

use bytes::Bytes;
use half::{bf16, f16};

use crate::json::{write_real, write_text, write_whole};
use crate::request::Wanted;
use crate::tensor::{Data, Datatype, Spec, Tensor, join_texts};
use crate::token;

/// A JSON text, and the parts that follow it: the binary tensors, not copied.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub json: Vec<u8>,
    pub tail: Vec<Bytes>,
}

/// What an answer says of the model.
pub struct Signed<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub tokens: &'a [[u8; token::LENGTH]],
}

pub fn write(signed: &Signed<'_>, id: Option<&str>, wanted: &[Wanted], specs: &[Spec], outputs: &[Tensor]) -> Answer {
    let mut json = Vec::with_capacity(256 + signed.tokens.len() * (token::LENGTH + 3));
    let mut tail = Vec::new();
    json.extend_from_slice(b"{\"model_name\":");
    write_text(&mut json, signed.model);
    json.extend_from_slice(b",\"model_version\":");
    write_text(&mut json, signed.version);
    if let Some(id) = id {
        json.extend_from_slice(b",\"id\":");
        write_text(&mut json, id);
    }
    json.extend_from_slice(b",\"outputs\":[");
    separated(&mut json, wanted, |json, one| {
        write_output(json, &specs[one.place].name, &outputs[one.place], one.binary.then_some(&mut tail));
    });
    json.push(b']');
    write_tokens(&mut json, signed.tokens);
    json.push(b'}');
    Answer { json, tail }
}

/// The field with the tokens, where there are any.
pub fn write_tokens(json: &mut Vec<u8>, tokens: &[[u8; token::LENGTH]]) {
    if tokens.is_empty() {
        return;
    }
    json.extend_from_slice(b",\"parameters\":{\"feedback_token\":[");
    separated(json, tokens, |json, token| {
        json.push(b'"');
        json.extend_from_slice(token);
        json.push(b'"');
    });
    json.extend_from_slice(b"]}");
}

fn separated<T>(json: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        write(json, item);
    }
}

fn write_output(json: &mut Vec<u8>, name: &str, tensor: &Tensor, tail: Option<&mut Vec<Bytes>>) {
    json.extend_from_slice(b"{\"name\":");
    write_text(json, name);
    json.extend_from_slice(b",\"datatype\":\"");
    json.extend_from_slice(tensor.datatype.name().as_bytes());
    json.extend_from_slice(b"\",\"shape\":[");
    separated(json, &tensor.shape, |json, size| write_whole(json, *size));
    match tail {
        Some(tail) => {
            let raw = raw(tensor);
            json.extend_from_slice(b"],\"parameters\":{\"binary_data_size\":");
            write_whole(json, raw.len());
            json.extend_from_slice(b"}}");
            tail.push(raw);
        }
        None => {
            json.extend_from_slice(b"],\"data\":[");
            write_data(json, tensor);
            json.extend_from_slice(b"]}");
        }
    }
}

/// A tensor's bytes as the protocol sends them.
pub fn raw(tensor: &Tensor) -> Bytes {
    match &tensor.data {
        Data::Fixed(raw) => raw.clone(),
        Data::Texts(texts) => join_texts(texts),
    }
}

/// The elements of a tensor, commas between them.
pub fn write_data(json: &mut Vec<u8>, tensor: &Tensor) {
    let raw = match &tensor.data {
        Data::Texts(texts) => {
            return separated(json, texts, |json, text| write_text(json, &String::from_utf8_lossy(text)));
        }
        Data::Fixed(raw) => raw,
    };
    macro_rules! each {
        ($type:ty, $write:expr) => {{
            for (place, bytes) in raw.chunks_exact(size_of::<$type>()).enumerate() {
                if place > 0 {
                    json.push(b',');
                }
                $write(json, <$type>::from_le_bytes(bytes.try_into().unwrap_or_default()));
            }
        }};
    }
    match tensor.datatype {
        Datatype::Bool => each!(u8, |json: &mut Vec<u8>, value| {
            json.extend_from_slice(if value == 0 { &b"false"[..] } else { &b"true"[..] });
        }),
        Datatype::Uint8 => each!(u8, write_whole),
        Datatype::Uint16 => each!(u16, write_whole),
        Datatype::Uint32 => each!(u32, write_whole),
        Datatype::Uint64 => each!(u64, write_whole),
        Datatype::Int8 => each!(i8, write_whole),
        Datatype::Int16 => each!(i16, write_whole),
        Datatype::Int32 => each!(i32, write_whole),
        Datatype::Int64 => each!(i64, write_whole),
        Datatype::Fp16 => each!(f16, |json, value: f16| write_real(json, value.to_f32())),
        Datatype::Bf16 => each!(bf16, |json, value: bf16| write_real(json, value.to_f32())),
        Datatype::Fp32 => each!(f32, write_real),
        Datatype::Fp64 => each!(f64, write_real),
        Datatype::Bytes => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dim;

    fn tensor(datatype: Datatype, data: &[u8]) -> Tensor {
        let count = (data.len() / datatype.size().unwrap_or(1)) as i64;
        Tensor { datatype, shape: vec![count, 1], data: Data::Fixed(Bytes::copy_from_slice(data)) }
    }

    fn text(tensor: &Tensor) -> String {
        let mut json = Vec::new();
        write_data(&mut json, tensor);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn data_as_json() {
        assert_eq!(
            text(&tensor(Datatype::Fp32, &[1.5f32, f32::NAN, 0.1].map(f32::to_le_bytes).concat())),
            "1.5,null,0.1"
        );
        assert_eq!(text(&tensor(Datatype::Fp64, &0.1f64.to_le_bytes())), "0.1");
        assert_eq!(text(&tensor(Datatype::Fp16, &[0, 0x3e])), "1.5");
        assert_eq!(text(&tensor(Datatype::Bf16, &[0xc0, 0x3f])), "1.5");
        assert_eq!(text(&tensor(Datatype::Bool, &[0, 1])), "false,true");
        assert_eq!(text(&tensor(Datatype::Int8, &[255])), "-1");
        assert_eq!(text(&tensor(Datatype::Uint64, &[255; 8])), "18446744073709551615");
        let texts = Data::Texts(vec![Bytes::from_static(b"a\"b"), Bytes::from_static(b"\xff")]);
        assert_eq!(text(&Tensor { datatype: Datatype::Bytes, shape: vec![2], data: texts }), "\"a\\\"b\",\"\u{fffd}\"");
    }

    #[test]
    fn an_answer() {
        let spec = |name: &str| Spec { name: name.to_owned(), datatype: Datatype::Fp32, dims: vec![Dim::Free] };
        let specs = [spec("y"), spec("z")];
        let outputs = [tensor(Datatype::Fp32, &[0, 0, 128, 63]), tensor(Datatype::Fp32, &[0, 0, 0, 64])];
        let wanted = [Wanted { place: 1, binary: true }, Wanted { place: 0, binary: false }];
        let signed = Signed { model: "hedge", version: "7", tokens: &[[b'A'; token::LENGTH]] };
        let answer = write(&signed, Some("mine"), &wanted, &specs, &outputs);
        let expected = format!(
            concat!(
                r#"{{"model_name":"hedge","model_version":"7","id":"mine","outputs":["#,
                r#"{{"name":"z","datatype":"FP32","shape":[1,1],"parameters":{{"binary_data_size":4}}}},"#,
                r#"{{"name":"y","datatype":"FP32","shape":[1,1],"data":[1.0]}}],"#,
                r#""parameters":{{"feedback_token":["{}"]}}}}"#
            ),
            "A".repeat(60)
        );
        assert_eq!(String::from_utf8(answer.json), Ok(expected));
        assert_eq!(answer.tail, [Bytes::from_static(&[0, 0, 0, 64])]);
    }
}
