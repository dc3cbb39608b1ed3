//! The `data` of a JSON tensor: a list of elements, flat or nested as the shape is, into the tensor's bytes.
//!
//! Nothing is bent to fit: a text is no number, a fraction no whole number, and what a datatype can't hold is refused.

use bytes::Bytes;
use half::{bf16, f16};

use crate::json::{Cursor, Kind, Malformed, Number};
use crate::limits::{Held, TEXT};
use crate::refusal::Refusal;
use crate::tensor::{Data, Datatype, MAX_RANK, elements, shown_shape};

/// Elements with the sizes of the lists that they came in.
#[derive(Debug, PartialEq)]
pub struct Values {
    pub sizes: Vec<usize>,
    pub count: usize,
    pub data: Data,
}

/// Why a list is no data of a datatype.
enum Wrong {
    Json(Malformed),
    Type,
    Range,
    Uneven,
    Deep,
    Memory(Refusal),
}

impl From<Malformed> for Wrong {
    fn from(error: Malformed) -> Self {
        Wrong::Json(error)
    }
}

/// Reads the list that comes next. `expected` is a hint: how many elements will come.
pub fn read(
    cursor: &mut Cursor<'_>,
    datatype: Datatype,
    expected: usize,
    held: &mut Held,
    field: impl Fn() -> String,
) -> Result<Values, Refusal> {
    let start = cursor.at();
    read_as(cursor, datatype, expected, held).map_err(|wrong| {
        let said = match wrong {
            Wrong::Json(error) => return Refusal::bad(format!("body: not JSON: {error}")),
            Wrong::Type => format!("must be {}", allowed(datatype)),
            Wrong::Range => format!("a value is out of the range of {}", datatype.name()),
            Wrong::Uneven => "is nested unevenly".to_owned(),
            Wrong::Deep => format!("is nested deeper than {MAX_RANK}"),
            Wrong::Memory(refusal) => return refusal,
        };
        debug_assert!(cursor.at() >= start);
        Refusal::bad(format!("{}.data: {said}", field()))
    })
}

fn allowed(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "true or false",
        Datatype::Bytes => "texts",
        _ if datatype.is_float() => "numbers or null",
        _ => "whole numbers",
    }
}

fn read_as(cursor: &mut Cursor<'_>, datatype: Datatype, expected: usize, held: &mut Held) -> Result<Values, Wrong> {
    let values = match datatype {
        Datatype::Bool => fixed(cursor, expected, |cursor, out: &mut Vec<u8>| match cursor.kind()? {
            Kind::True | Kind::False => {
                out.push(u8::from(cursor.word()? == Kind::True));
                Ok(())
            }
            _ => Err(Wrong::Type),
        }),
        Datatype::Uint8 => whole::<u8, 1>(cursor, expected, u8::to_le_bytes),
        Datatype::Uint16 => whole::<u16, 2>(cursor, expected, u16::to_le_bytes),
        Datatype::Uint32 => whole::<u32, 4>(cursor, expected, u32::to_le_bytes),
        Datatype::Uint64 => whole::<u64, 8>(cursor, expected, u64::to_le_bytes),
        Datatype::Int8 => whole::<i8, 1>(cursor, expected, i8::to_le_bytes),
        Datatype::Int16 => whole::<i16, 2>(cursor, expected, i16::to_le_bytes),
        Datatype::Int32 => whole::<i32, 4>(cursor, expected, i32::to_le_bytes),
        Datatype::Int64 => whole::<i64, 8>(cursor, expected, i64::to_le_bytes),
        Datatype::Fp16 => real::<2>(cursor, expected, |value| {
            let half = f16::from_f64(value);
            (half.to_le_bytes(), half.is_infinite())
        }),
        Datatype::Bf16 => real::<2>(cursor, expected, |value| {
            let half = bf16::from_f64(value);
            (half.to_le_bytes(), half.is_infinite())
        }),
        Datatype::Fp32 => real::<4>(cursor, expected, |value| {
            let single = value as f32;
            (single.to_le_bytes(), single.is_infinite())
        }),
        Datatype::Fp64 => real::<8>(cursor, expected, |value| (value.to_le_bytes(), value.is_infinite())),
        Datatype::Bytes => return texts(cursor, expected, held),
    }?;
    held.add(values.count * datatype.size().unwrap_or_default()).map_err(Wrong::Memory)?;
    Ok(values)
}

fn whole<T: TryFrom<i128>, const N: usize>(
    cursor: &mut Cursor<'_>,
    expected: usize,
    bytes: impl Fn(T) -> [u8; N],
) -> Result<Values, Wrong> {
    fixed(cursor, expected * N, |cursor, out: &mut Vec<u8>| {
        if cursor.kind()? != Kind::Number {
            return Err(Wrong::Type);
        }
        let Number::Whole(value) = cursor.number()? else {
            return Err(Wrong::Type);
        };
        out.extend_from_slice(&bytes(T::try_from(value).map_err(|_| Wrong::Range)?));
        Ok(())
    })
}

fn real<const N: usize>(
    cursor: &mut Cursor<'_>,
    expected: usize,
    bytes: impl Fn(f64) -> ([u8; N], bool),
) -> Result<Values, Wrong> {
    fixed(cursor, expected * N, |cursor, out: &mut Vec<u8>| {
        let value = match cursor.kind()? {
            Kind::Number => match cursor.number()? {
                Number::Real(value) => value,
                Number::Whole(value) => value as f64,
            },
            Kind::Null => {
                cursor.word()?;
                f64::NAN
            }
            _ => return Err(Wrong::Type),
        };
        let (raw, infinite) = bytes(value);
        if infinite {
            return Err(Wrong::Range);
        }
        out.extend_from_slice(&raw);
        Ok(())
    })
}

fn fixed(
    cursor: &mut Cursor<'_>,
    capacity: usize,
    mut element: impl FnMut(&mut Cursor<'_>, &mut Vec<u8>) -> Result<(), Wrong>,
) -> Result<Values, Wrong> {
    let mut out = Vec::with_capacity(capacity);
    let mut nesting = Nesting::default();
    nesting.list(cursor, 0, &mut |cursor| element(cursor, &mut out))?;
    Ok(Values { sizes: nesting.sizes(), count: nesting.count, data: Data::Fixed(Bytes::from(out)) })
}

fn texts(cursor: &mut Cursor<'_>, expected: usize, held: &mut Held) -> Result<Values, Wrong> {
    let mut out: Vec<Bytes> = Vec::with_capacity(expected);
    let mut nesting = Nesting::default();
    nesting.list(cursor, 0, &mut |cursor| {
        if cursor.kind()? != Kind::Text {
            return Err(Wrong::Type);
        }
        let text = cursor.text()?;
        held.add(TEXT + text.len()).map_err(Wrong::Memory)?;
        out.push(Bytes::from(text.into_owned()));
        Ok(())
    })?;
    Ok(Values { sizes: nesting.sizes(), count: nesting.count, data: Data::Texts(out) })
}

/// What is known of the lists at each depth; every list of one depth must be like the first.
#[derive(Default)]
struct Nesting {
    count: usize,
    sizes: [Option<usize>; MAX_RANK],
    holds_lists: [Option<bool>; MAX_RANK],
}

impl Nesting {
    fn list(
        &mut self,
        cursor: &mut Cursor<'_>,
        depth: usize,
        leaf: &mut impl FnMut(&mut Cursor<'_>) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        let mut size = 0;
        cursor.expect(b'[', "no list")?;
        if !cursor.take(b']') {
            let lists = cursor.peek() == Some(b'[');
            if *self.holds_lists[depth].get_or_insert(lists) != lists {
                return Err(Wrong::Uneven);
            }
            if lists && depth + 1 == MAX_RANK {
                return Err(Wrong::Deep);
            }
            loop {
                if (cursor.peek() == Some(b'[')) != lists {
                    return Err(Wrong::Uneven);
                }
                if lists {
                    self.list(cursor, depth + 1, leaf)?;
                } else {
                    leaf(cursor)?;
                }
                size += 1;
                if cursor.take(b']') {
                    break;
                }
                cursor.expect(b',', "no comma between items")?;
            }
            if !lists {
                self.count += size;
            }
        }
        if *self.sizes[depth].get_or_insert(size) == size { Ok(()) } else { Err(Wrong::Uneven) }
    }

    fn sizes(&self) -> Vec<usize> {
        self.sizes.iter().map_while(|size| *size).collect()
    }
}

/// Whether there are as many values as the shape needs, flat or nested like it.
pub fn check_shape(field: impl Fn() -> String, values: &Values, shape: &[i64]) -> Result<(), Refusal> {
    if elements(shape) != Some(values.count) {
        let needed = shape.iter().fold(1i128, |all, size| all.saturating_mul(i128::from(*size)));
        return Err(Refusal::bad(format!(
            "{}.data: has {} values, shape {} needs {needed}",
            field(),
            values.count,
            shown_shape(shape)
        )));
    }
    let same = values.sizes.len() == shape.len() && values.sizes.iter().zip(shape).all(|(a, b)| *a as i64 == *b);
    if values.sizes.len() != 1 && !same {
        return Err(Refusal::bad(format!(
            "{}.data: is nested as {}, shape is {}",
            field(),
            shown_shape(&values.sizes),
            shown_shape(shape)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(datatype: Datatype, text: &str) -> Result<Values, String> {
        read(&mut Cursor::new(text.as_bytes()), datatype, 0, &mut Held::plenty(), || "x".to_owned())
            .map_err(|refusal| refusal.message)
    }

    fn floats(text: &str) -> Vec<f32> {
        let Data::Fixed(raw) = read_text(Datatype::Fp32, text).unwrap().data else { panic!("no texts") };
        raw.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    }

    #[test]
    fn data_may_be_flat_or_nested() {
        assert_eq!(floats("[1, 2, 3, 4.5]"), [1.0, 2.0, 3.0, 4.5]);
        assert_eq!(floats("[[1, 2], [3, 4.5]]"), [1.0, 2.0, 3.0, 4.5]);
        assert_eq!(read_text(Datatype::Fp32, "[[1,2],[3,4]]").unwrap().sizes, [2, 2]);
        assert_eq!(read_text(Datatype::Fp32, "[]").unwrap().sizes, [0]);
        assert!(floats("[null]")[0].is_nan());
    }

    #[test]
    fn other_types() {
        let raw = |datatype, text| match read_text(datatype, text).unwrap().data {
            Data::Fixed(raw) => raw.to_vec(),
            Data::Texts(texts) => texts.concat(),
        };
        assert_eq!(raw(Datatype::Int8, "[1,-128]"), [1, 128]);
        assert_eq!(raw(Datatype::Bool, "[true,false]"), [1, 0]);
        assert_eq!(raw(Datatype::Bytes, r#"["a","bc"]"#), b"abc");
        assert_eq!(raw(Datatype::Uint64, "[18446744073709551615]"), [255; 8]);
        assert_eq!(raw(Datatype::Fp16, "[1.5]"), [0, 0x3e]);
        assert_eq!(raw(Datatype::Bf16, "[1.5]"), [0xc0, 0x3f]);
        assert_eq!(raw(Datatype::Fp64, "[1e300]"), 1e300f64.to_le_bytes());
    }

    #[test]
    fn values_are_not_bent_to_fit() {
        for (datatype, text, said) in [
            (Datatype::Fp32, r#"["1",2]"#, "x.data: must be numbers or null"),
            (Datatype::Fp32, "[true]", "x.data: must be numbers or null"),
            (Datatype::Fp32, "[{}]", "x.data: must be numbers or null"),
            (Datatype::Fp32, "[1e39]", "x.data: a value is out of the range of FP32"),
            (Datatype::Fp16, "[70000]", "x.data: a value is out of the range of FP16"),
            (Datatype::Int8, "[1.5]", "x.data: must be whole numbers"),
            (Datatype::Int8, "[1.0]", "x.data: must be whole numbers"),
            (Datatype::Int8, "[null]", "x.data: must be whole numbers"),
            (Datatype::Int8, "[128]", "x.data: a value is out of the range of INT8"),
            (Datatype::Uint8, "[-1]", "x.data: a value is out of the range of UINT8"),
            (Datatype::Bool, "[1,0]", "x.data: must be true or false"),
            (Datatype::Bytes, r#"["a",1]"#, "x.data: must be texts"),
            (Datatype::Fp32, "[[1,2,3],[4]]", "x.data: is nested unevenly"),
            (Datatype::Fp32, "[[1],2]", "x.data: is nested unevenly"),
            (Datatype::Fp32, "[1,[2]]", "x.data: is nested unevenly"),
            (Datatype::Fp32, "[[1],[[2]]]", "x.data: is nested unevenly"),
            (Datatype::Fp32, "[1,", "body: not JSON: the text ends at byte 3"),
            (Datatype::Fp32, "[1 2]", "body: not JSON: no comma between items at byte 3"),
        ] {
            assert_eq!(read_text(datatype, text), Err(said.to_owned()), "{text}");
        }
        let deep = format!("{}1{}", "[".repeat(900), "]".repeat(900));
        assert_eq!(read_text(Datatype::Fp32, &deep), Err("x.data: is nested deeper than 16".to_owned()));
        let deepest = format!("{}1{}", "[".repeat(16), "]".repeat(16));
        assert!(read_text(Datatype::Fp32, &deepest).is_ok());
    }

    #[test]
    fn values_fit_a_shape_or_do_not() {
        let check = |text: &str, shape: &[i64]| {
            check_shape(|| "x".to_owned(), &read_text(Datatype::Fp32, text).unwrap(), shape)
                .map_err(|error| error.message)
        };
        assert!(check("[1,2,3,4]", &[2, 2]).is_ok());
        assert!(check("[[1,2],[3,4]]", &[2, 2]).is_ok());
        assert_eq!(check("[1,2,3,4]", &[1, 2]), Err("x.data: has 4 values, shape [1, 2] needs 2".to_owned()));
        assert_eq!(check("[[1,2,3,4]]", &[2, 2]), Err("x.data: is nested as [1, 4], shape is [2, 2]".to_owned()));
        assert!(check("[1]", &[1 << 62, 1 << 62]).unwrap_err().starts_with("x.data: has 1 values"));
    }
}
