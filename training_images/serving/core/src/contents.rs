//! The tensors of a gRPC request, raw or by their typed contents.

use bytes::Bytes;

use crate::limits::{Held, TEXT};
use crate::protocol::{Contents, InferTensor};
use crate::refusal::Refusal;
use crate::sent::{check_fit, field};
use crate::tensor::{self, Data, Datatype, Spec, Tensor, check_names, from_raw};

/// The tensors in the order of the model's inputs.
pub fn read(sent: &[InferTensor], raw: &[Bytes], specs: &[Spec], held: &mut Held) -> Result<Vec<Tensor>, Refusal> {
    if !raw.is_empty() && raw.len() != sent.len() {
        return Err(Refusal::bad(format!("raw_input_contents: has {} entries for {} inputs", raw.len(), sent.len())));
    }
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let mut tensors: Vec<Option<Tensor>> = specs.iter().map(|_| None).collect();
    for (place, one) in sent.iter().enumerate() {
        let Some(found) = names.iter().position(|name| *name == one.name) else {
            return Err(Refusal::bad(format!(
                "inputs[{place}].name: '{}' is no input of the model; it has {}",
                one.name,
                names.join(", ")
            )));
        };
        if tensors[found].is_some() {
            return Err(Refusal::bad(format!("inputs[{place}].name: '{}' is there twice", one.name)));
        }
        tensors[found] = Some(input(place, one, raw.get(place), &specs[found], held)?);
    }
    if let Some(missing) = tensors.iter().position(Option::is_none) {
        return Err(Refusal::bad(format!("inputs: {} is missing", names[missing])));
    }
    let tensors: Vec<Tensor> = tensors.into_iter().flatten().collect();
    check_names(specs, &tensors)?;
    Ok(tensors)
}

fn input(
    place: usize,
    sent: &InferTensor,
    raw: Option<&Bytes>,
    spec: &Spec,
    held: &mut Held,
) -> Result<Tensor, Refusal> {
    let field = field(place, spec);
    if sent.datatype != spec.datatype.name() {
        return Err(Refusal::bad(format!(
            "{field}.datatype: must be {}, is '{}'",
            spec.datatype.name(),
            sent.datatype
        )));
    }
    check_fit(&field, spec, &sent.shape)?;
    if sent.parameters.contains_key("shared_memory_region") {
        return Err(Refusal::bad(format!("{field}.parameters: shared memory is not served")));
    }
    match (raw, &sent.contents) {
        (Some(raw), _) => from_raw(&field, spec, sent.shape.clone(), raw.clone(), held),
        (None, Some(contents)) => from_contents(&field, spec, sent.shape.clone(), contents, held),
        (None, None) => Err(Refusal::bad(format!("{field}: has no contents, and there are no raw_input_contents"))),
    }
}

fn from_contents(
    field: &str,
    spec: &Spec,
    shape: Vec<i64>,
    sent: &Contents,
    held: &mut Held,
) -> Result<Tensor, Refusal> {
    let out_of_range =
        || Refusal::bad(format!("{field}.contents: a value is out of the range of {}", spec.datatype.name()));
    macro_rules! bytes {
        ($values:expr) => {
            $values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()
        };
        ($values:expr, $narrow:ty) => {
            $values
                .iter()
                .map(|value| <$narrow>::try_from(*value).map(<$narrow>::to_le_bytes))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| out_of_range())?
                .concat()
        };
    }
    let raw: Vec<u8> = match spec.datatype {
        Datatype::Bool => sent.bools.iter().map(|value| u8::from(*value)).collect(),
        Datatype::Int8 => bytes!(sent.ints, i8),
        Datatype::Int16 => bytes!(sent.ints, i16),
        Datatype::Int32 => bytes!(sent.ints),
        Datatype::Int64 => bytes!(sent.int64s),
        Datatype::Uint8 => bytes!(sent.uints, u8),
        Datatype::Uint16 => bytes!(sent.uints, u16),
        Datatype::Uint32 => bytes!(sent.uints),
        Datatype::Uint64 => bytes!(sent.uint64s),
        Datatype::Fp32 => bytes!(sent.fp32s),
        Datatype::Fp64 => bytes!(sent.fp64s),
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(Refusal::bad(format!(
                "{field}.contents: {} comes by raw_input_contents only",
                spec.datatype.name()
            )));
        }
        Datatype::Bytes => return texts(field, spec, shape, &sent.texts, held),
    };
    held.add(raw.len())?;
    from_raw(&format!("{field}.contents"), spec, shape, raw.into(), held)
}

fn texts(field: &str, spec: &Spec, shape: Vec<i64>, texts: &[Bytes], held: &mut Held) -> Result<Tensor, Refusal> {
    held.add(texts.len() * TEXT)?;
    if tensor::elements(&shape) != Some(texts.len()) {
        return Err(Refusal::bad(format!("{field}.contents: has {} texts, which the shape is not for", texts.len())));
    }
    if texts.iter().any(|text| std::str::from_utf8(text).is_err()) {
        return Err(Refusal::bad(format!("{field}.contents: a text is not UTF-8")));
    }
    Ok(Tensor { datatype: spec.datatype, shape, data: Data::Texts(texts.to_vec()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dim;

    fn spec(datatype: Datatype) -> Spec {
        Spec { name: "x".to_owned(), datatype, dims: vec![Dim::Free] }
    }

    fn sent(datatype: &str, shape: &[i64], contents: Option<Contents>) -> InferTensor {
        InferTensor {
            name: "x".to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
            contents,
            ..InferTensor::default()
        }
    }

    fn read_one(sent: InferTensor, raw: &[Bytes], datatype: Datatype) -> Result<Data, String> {
        super::read(&[sent], raw, &[spec(datatype)], &mut Held::plenty())
            .map(|found| found[0].data.clone())
            .map_err(|refusal| refusal.message)
    }

    #[test]
    fn contents_become_bytes() {
        let four = Contents { ints: vec![-1, 2], uints: vec![1, 255], fp32s: vec![1.0, 2.0], ..Contents::default() };
        for (datatype, raw) in [
            (Datatype::Int8, vec![255, 2]),
            (Datatype::Int16, vec![255, 255, 2, 0]),
            (Datatype::Uint8, vec![1, 255]),
            (Datatype::Fp32, [1.0f32, 2.0].map(f32::to_le_bytes).concat()),
        ] {
            let found = read_one(sent(datatype.name(), &[2], Some(four.clone())), &[], datatype);
            assert_eq!(found, Ok(Data::Fixed(raw.into())));
        }
        let texts = Contents { texts: vec![Bytes::from_static(b"a")], ..Contents::default() };
        let found = read_one(sent("BYTES", &[1], Some(texts)), &[], Datatype::Bytes);
        assert_eq!(found, Ok(Data::Texts(vec![Bytes::from_static(b"a")])));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let contents = |contents| Some(contents);
        for (one, raw, datatype, said) in [
            (sent("FP32", &[1], None), vec![], Datatype::Fp32, "inputs[0] (x): has no contents"),
            (sent("FP64", &[1], None), vec![], Datatype::Fp32, "inputs[0] (x).datatype: must be FP32, is 'FP64'"),
            (sent("FP32", &[0], None), vec![], Datatype::Fp32, "inputs[0] (x).shape: is [0]"),
            (sent("FP32", &[1], None), vec![Bytes::new(); 2], Datatype::Fp32, "raw_input_contents: has 2 entries"),
            (sent("FP32", &[1], None), vec![Bytes::new()], Datatype::Fp32, "inputs[0] (x): has 0 bytes"),
            (
                sent("INT8", &[1], contents(Contents { ints: vec![128], ..Contents::default() })),
                vec![],
                Datatype::Int8,
                "inputs[0] (x).contents: a value is out of the range of INT8",
            ),
            (
                sent("FP16", &[1], contents(Contents::default())),
                vec![],
                Datatype::Fp16,
                "inputs[0] (x).contents: FP16 comes by raw_input_contents only",
            ),
            (
                sent("FP32", &[2], contents(Contents { fp32s: vec![1.0], ..Contents::default() })),
                vec![],
                Datatype::Fp32,
                "inputs[0] (x).contents: has 4 bytes, shape [2] of FP32 needs 8",
            ),
            (
                InferTensor { name: "z".to_owned(), ..InferTensor::default() },
                vec![],
                Datatype::Fp32,
                "inputs[0].name: 'z'",
            ),
        ] {
            let message = read_one(one, &raw, datatype).unwrap_err();
            assert!(message.starts_with(said), "{message}");
        }
        assert_eq!(
            super::read(&[], &[], &[spec(Datatype::Fp32)], &mut Held::plenty()).unwrap_err().message,
            "inputs: x is missing"
        );
    }
}
