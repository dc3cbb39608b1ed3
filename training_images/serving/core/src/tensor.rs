//! Tensors and what a model says of them.

use std::fmt;

use bytes::Bytes;

use crate::limits::{Held, TEXT};
use crate::refusal::Refusal;

/// The most sizes that a shape may have.
pub const MAX_RANK: usize = 16;

/// A datatype by its name in the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    pub const ALL: [Datatype; 14] = [
        Datatype::Bool,
        Datatype::Uint8,
        Datatype::Uint16,
        Datatype::Uint32,
        Datatype::Uint64,
        Datatype::Int8,
        Datatype::Int16,
        Datatype::Int32,
        Datatype::Int64,
        Datatype::Fp16,
        Datatype::Bf16,
        Datatype::Fp32,
        Datatype::Fp64,
        Datatype::Bytes,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Datatype::Bool => "BOOL",
            Datatype::Uint8 => "UINT8",
            Datatype::Uint16 => "UINT16",
            Datatype::Uint32 => "UINT32",
            Datatype::Uint64 => "UINT64",
            Datatype::Int8 => "INT8",
            Datatype::Int16 => "INT16",
            Datatype::Int32 => "INT32",
            Datatype::Int64 => "INT64",
            Datatype::Fp16 => "FP16",
            Datatype::Bf16 => "BF16",
            Datatype::Fp32 => "FP32",
            Datatype::Fp64 => "FP64",
            Datatype::Bytes => "BYTES",
        }
    }

    pub fn named(name: &str) -> Option<Datatype> {
        Datatype::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Bytes of one element; `None` for texts, whose length varies.
    pub fn size(self) -> Option<usize> {
        match self {
            Datatype::Bool | Datatype::Uint8 | Datatype::Int8 => Some(1),
            Datatype::Uint16 | Datatype::Int16 | Datatype::Fp16 | Datatype::Bf16 => Some(2),
            Datatype::Uint32 | Datatype::Int32 | Datatype::Fp32 => Some(4),
            Datatype::Uint64 | Datatype::Int64 | Datatype::Fp64 => Some(8),
            Datatype::Bytes => None,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64)
    }

    pub fn is_number(self) -> bool {
        !matches!(self, Datatype::Bool | Datatype::Bytes)
    }
}

/// One size of a tensor's shape, as the model says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    Fixed(i64),
    /// It varies; sizes of the same name are the same.
    Named(String),
    Free,
}

impl Dim {
    pub fn varies(&self) -> bool {
        !matches!(self, Dim::Fixed(_))
    }
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub name: String,
    pub datatype: Datatype,
    pub dims: Vec<Dim>,
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self
            .dims
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(size) => size.to_string(),
                _ => "?".to_owned(),
            })
            .collect();
        write!(f, "{}: {} [{}]", self.name, self.datatype.name(), sizes.join(", "))
    }
}

impl Spec {
    /// Whether a tensor of `shape` is one of these.
    pub fn fits(&self, shape: &[i64]) -> bool {
        shape.len() == self.dims.len()
            && shape.iter().zip(&self.dims).all(|(size, dim)| match dim {
                Dim::Fixed(wanted) => size == wanted,
                _ => *size >= 1,
            })
    }
}

/// The elements of a tensor, little-endian in the order of rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Fixed(Bytes),
    /// One for each element.
    Texts(Vec<Bytes>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub datatype: Datatype,
    pub shape: Vec<i64>,
    pub data: Data,
}

impl Tensor {
    /// Elements along the first axis; 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().map_or(1, |size| *size as usize)
    }

    /// Elements altogether.
    pub fn count(&self) -> usize {
        match &self.data {
            Data::Fixed(raw) => raw.len() / self.datatype.size().unwrap_or(1),
            Data::Texts(texts) => texts.len(),
        }
    }
}

/// How many elements a shape has; `None` beyond what can be counted.
pub fn elements(shape: &[i64]) -> Option<usize> {
    shape.iter().try_fold(1usize, |total, size| total.checked_mul(usize::try_from(*size).ok()?))
}

/// `[2, 3]`.
pub fn shown_shape<T: ToString>(shape: &[T]) -> String {
    let sizes: Vec<String> = shape.iter().map(T::to_string).collect();
    format!("[{}]", sizes.join(", "))
}

/// The elements of a text tensor as the protocol sends them: each with its length (uint32, little-endian) before it. One
/// more than `expected` are enough to see that they are too many.
pub fn split_texts(raw: &Bytes, expected: usize) -> Option<Vec<Bytes>> {
    let mut texts = Vec::new();
    let mut at = 0;
    while at < raw.len() && texts.len() <= expected {
        let length = u32::from_le_bytes(raw.get(at..at + 4)?.try_into().ok()?) as usize;
        let end = (at + 4).checked_add(length).filter(|end| *end <= raw.len())?;
        texts.push(raw.slice(at + 4..end));
        at = end;
    }
    Some(texts)
}

pub fn join_texts(texts: &[Bytes]) -> Bytes {
    let mut raw = Vec::with_capacity(texts.iter().map(|text| text.len() + 4).sum());
    for text in texts {
        raw.extend_from_slice(&(text.len() as u32).to_le_bytes());
        raw.extend_from_slice(text);
    }
    raw.into()
}

/// A tensor of `spec` from the bytes that came for it, which stay where they are.
pub fn from_raw(field: &str, spec: &Spec, shape: Vec<i64>, raw: Bytes, held: &mut Held) -> Result<Tensor, Refusal> {
    let count = elements(&shape);
    let data = match spec.datatype.size() {
        Some(size) => {
            if count.and_then(|count| count.checked_mul(size)) != Some(raw.len()) {
                return Err(Refusal::bad(format!(
                    "{field}: has {} bytes, shape {} of {} needs {}",
                    raw.len(),
                    shown_shape(&shape),
                    spec.datatype.name(),
                    shape.iter().fold(size as i128, |all, size| all.saturating_mul(i128::from(*size))),
                )));
            }
            if spec.datatype == Datatype::Bool && raw.iter().any(|byte| *byte > 1) {
                return Err(Refusal::bad(format!("{field}: a truth value is 0 or 1")));
            }
            Data::Fixed(raw)
        }
        None => {
            // No more texts are made than there may be.
            held.add(count.unwrap_or(usize::MAX).min(raw.len() / 4).saturating_mul(TEXT))?;
            let texts = split_texts(&raw, count.unwrap_or_default())
                .ok_or_else(|| Refusal::bad(format!("{field}: is cut off: each text needs its length before it")))?;
            if count != Some(texts.len()) {
                return Err(Refusal::bad(format!(
                    "{field}: has {}{} texts, shape {} needs another number",
                    if texts.len() > count.unwrap_or_default() { "more than " } else { "" },
                    texts.len().min(count.unwrap_or_default()),
                    shown_shape(&shape)
                )));
            }
            if texts.iter().any(|text| std::str::from_utf8(text).is_err()) {
                return Err(Refusal::bad(format!("{field}: a text is not UTF-8")));
            }
            Data::Texts(texts)
        }
    };
    Ok(Tensor { datatype: spec.datatype, shape, data })
}

/// Sizes of the same name must be the same in all inputs.
pub fn check_names(specs: &[Spec], tensors: &[Tensor]) -> Result<(), Refusal> {
    let mut seen: Vec<(&str, i64, &str)> = Vec::new();
    for (spec, tensor) in specs.iter().zip(tensors) {
        for (dim, size) in spec.dims.iter().zip(&tensor.shape) {
            let Dim::Named(name) = dim else { continue };
            match seen.iter().find(|(known, _, _)| known == name) {
                Some((_, before, other)) if before != size => {
                    return Err(Refusal::bad(format!(
                        "inputs: {name} is {before} in {other} and {size} in {}",
                        spec.name
                    )));
                }
                Some(_) => {}
                None => seen.push((name, *size, &spec.name)),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::limits::{Budget, Limits};

    fn spec(name: &str, datatype: Datatype, dims: Vec<Dim>) -> Spec {
        Spec { name: name.to_owned(), datatype, dims }
    }

    #[test]
    fn a_datatype_is_found_by_its_name() {
        for one in Datatype::ALL {
            assert_eq!(Datatype::named(one.name()), Some(one));
        }
        assert_eq!(Datatype::named("fp32"), None);
    }

    #[test]
    fn shapes_fit_or_do_not() {
        let x = spec("x", Datatype::Fp32, vec![Dim::Free, Dim::Fixed(2)]);
        for (shape, fits) in
            [(vec![1, 2], true), (vec![9, 2], true), (vec![0, 2], false), (vec![1, 3], false), (vec![2], false)]
        {
            assert_eq!(x.fits(&shape), fits, "{shape:?}");
        }
        assert_eq!(x.to_string(), "x: FP32 [?, 2]");
    }

    #[test]
    fn elements_are_counted_without_wrapping() {
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[3, 4]), Some(12));
        assert_eq!(elements(&[i64::MAX, i64::MAX]), None);
        assert_eq!(elements(&[-1]), None);
    }

    #[test]
    fn texts_are_split_and_joined() {
        let texts = vec![Bytes::from_static(b"ab"), Bytes::new()];
        let raw = join_texts(&texts);
        assert_eq!(raw.as_ref(), b"\x02\0\0\0ab\0\0\0\0");
        assert_eq!(split_texts(&raw, 2), Some(texts));
        for cut in [1, 5, 8] {
            assert_eq!(split_texts(&raw.slice(..cut), 2), None, "{cut}");
        }
        assert_eq!(split_texts(&Bytes::from_static(&[255, 255, 255, 255]), 1), None);
        assert_eq!(split_texts(&Bytes::from_static(&[0; 400]), 3).map(|texts| texts.len()), Some(4));
    }

    #[test]
    fn raw_bytes_must_be_as_many_as_the_shape_needs() {
        let mut held = Held::plenty();
        let mut from_raw = |field, spec: &Spec, shape, raw| from_raw(field, spec, shape, raw, &mut held);
        let x = spec("x", Datatype::Fp32, vec![Dim::Free]);
        assert!(from_raw("inputs[0] (x)", &x, vec![2], Bytes::from_static(&[0; 8])).is_ok());
        let wrong = from_raw("inputs[0] (x)", &x, vec![2], Bytes::from_static(&[0; 7])).unwrap_err();
        assert_eq!(wrong.message, "inputs[0] (x): has 7 bytes, shape [2] of FP32 needs 8");
        let flags = spec("b", Datatype::Bool, vec![Dim::Free]);
        assert!(from_raw("b", &flags, vec![1], Bytes::from_static(&[2])).is_err());
        let texts = spec("t", Datatype::Bytes, vec![Dim::Free]);
        assert!(from_raw("t", &texts, vec![1], Bytes::from_static(b"\x01\0\0\0\xff")).is_err());
        let many = from_raw("t", &texts, vec![2], Bytes::from_static(&[0; 16])).unwrap_err();
        assert_eq!(many.message, "t: has more than 2 texts, shape [2] needs another number");
    }

    #[test]
    fn texts_take_memory_beside_their_bytes() {
        let texts = spec("t", Datatype::Bytes, vec![Dim::Free]);
        let limits = Limits { body_bytes: 16 * TEXT / 16, requests_per_connection: 1 };
        let budget = Budget::new(limits, Arc::default());
        let status = |count: i64| {
            let raw = Bytes::from(vec![0; 4 * count as usize]);
            from_raw("t", &texts, vec![count], raw, &mut Held::nothing(&budget)).map_err(|refusal| refusal.status)
        };
        assert!(status(16).is_ok());
        assert_eq!(status(17).map(drop), Err(413));
        assert_eq!(status(1 << 20).map(drop), Err(413));
    }

    #[test]
    fn sizes_of_the_same_name_are_the_same() {
        let named = || vec![Dim::Named("n".to_owned())];
        let specs = [spec("a", Datatype::Uint8, named()), spec("b", Datatype::Uint8, named())];
        let tensor = |n: i64| Tensor { datatype: Datatype::Uint8, shape: vec![n], data: Data::Fixed(Bytes::new()) };
        assert!(check_names(&specs, &[tensor(1), tensor(1)]).is_ok());
        let wrong = check_names(&specs, &[tensor(1), tensor(2)]).unwrap_err();
        assert_eq!(wrong.message, "inputs: n is 1 in a and 2 in b");
    }
}
