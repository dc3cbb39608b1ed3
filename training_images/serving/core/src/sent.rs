//! One tensor of a request as it came: fields in any order, elements as JSON or in the bytes after it.

use bytes::Bytes;

use crate::json::{Cursor, Kind, Malformed, Number, shown};
use crate::limits::Held;
use crate::parameters::{each_parameter, whole};
use crate::refusal::Refusal;
use crate::tensor::{self, MAX_RANK, Spec, Tensor, elements, shown_shape};
use crate::values::{self, Values};

/// Keeps the text of a value for later.
pub fn keep<'a>(cursor: &mut Cursor<'a>, place: &mut Option<&'a [u8]>) -> Result<(), Refusal> {
    *place = Some(cursor.skip()?);
    Ok(())
}

#[derive(Default)]
pub struct SentTensor<'a> {
    pub name: Option<&'a [u8]>,
    datatype: Option<&'a [u8]>,
    shape: Option<&'a [u8]>,
    parameters: Option<&'a [u8]>,
    /// Where the data begins, and its elements if it was known by then what they have to be.
    data: Option<Cursor<'a>>,
    values: Option<Values>,
}

impl<'a> SentTensor<'a> {
    pub fn read(
        cursor: &mut Cursor<'a>,
        place: usize,
        specs: &[Spec],
        held: &mut Held,
    ) -> Result<SentTensor<'a>, Refusal> {
        let mut found = SentTensor::default();
        cursor.object(|cursor, field| match field.as_ref() {
            "name" => found.changed(cursor, |one| &mut one.name),
            "datatype" => found.changed(cursor, |one| &mut one.datatype),
            "shape" => keep(cursor, &mut found.shape),
            "parameters" => keep(cursor, &mut found.parameters),
            "data" => found.read_data(cursor, place, specs, held),
            _ => Ok(cursor.skip().map(drop)?),
        })?;
        Ok(found)
    }

    /// Elements that were read for another name or datatype are to be read again.
    fn changed(
        &mut self,
        cursor: &mut Cursor<'a>,
        field: impl Fn(&mut Self) -> &mut Option<&'a [u8]>,
    ) -> Result<(), Refusal> {
        self.values = None;
        keep(cursor, field(self))
    }

    fn read_data(
        &mut self,
        cursor: &mut Cursor<'a>,
        place: usize,
        specs: &[Spec],
        held: &mut Held,
    ) -> Result<(), Refusal> {
        let is_list = cursor.kind()? == Kind::List;
        self.data = Some(cursor.clone());
        self.values = None;
        match self.place(specs).map(|found| &specs[found]) {
            Some(spec) if is_list && self.is_of(spec) => {
                self.values = Some(self.read_values(cursor, place, spec, held)?);
            }
            _ => drop(cursor.skip()?),
        }
        Ok(())
    }

    fn read_values(
        &self,
        cursor: &mut Cursor<'a>,
        place: usize,
        spec: &Spec,
        held: &mut Held,
    ) -> Result<Values, Refusal> {
        const MOST_EXPECTED: usize = 1 << 16;
        let shape = self.shape.and_then(read_shape).unwrap_or_default();
        let expected = elements(&shape).unwrap_or_default().min(MOST_EXPECTED);
        values::read(cursor, spec.datatype, expected, held, || field(place, spec))
    }

    /// The input of the model that it is for.
    pub fn place(&self, specs: &[Spec]) -> Option<usize> {
        let name = Cursor::new(self.name?).text().ok()?;
        specs.iter().position(|spec| spec.name == name)
    }

    fn is_of(&self, spec: &Spec) -> bool {
        self.datatype.and_then(|raw| Cursor::new(raw).text().ok()).is_some_and(|sent| sent == spec.datatype.name())
    }

    /// The tensor, of the input `spec`.
    pub fn tensor(
        mut self,
        place: usize,
        spec: &Spec,
        tail: &mut Tail<'_>,
        held: &mut Held,
    ) -> Result<Tensor, Refusal> {
        if !self.is_of(spec) {
            return Err(Refusal::bad(format!(
                "{}.datatype: must be {}, is {}",
                field(place, spec),
                spec.datatype.name(),
                shown_or_none(self.datatype)
            )));
        }
        let shape = self.shape.and_then(read_shape).ok_or_else(|| {
            Refusal::bad(format!("{}.shape: must be a list of at most {MAX_RANK} whole numbers", field(place, spec)))
        })?;
        check_fit(&field(place, spec), spec, &shape)?;
        if let Some(size) = binary_size(self.parameters, || field(place, spec))? {
            if self.data.is_some() {
                return Err(Refusal::bad(format!(
                    "{}: has data as well as parameters.binary_data_size",
                    field(place, spec)
                )));
            }
            let raw = tail.take(size).ok_or_else(|| {
                Refusal::bad(format!(
                    "{}.parameters.binary_data_size: is {size}, the body has {} bytes left",
                    field(place, spec),
                    tail.left()
                ))
            })?;
            return tensor::from_raw(&field(place, spec), spec, shape, raw, held);
        }
        let values = match self.values.take() {
            Some(values) => values,
            None => {
                let no_list = || Refusal::bad(format!("{}.data: must be a list", field(place, spec)));
                let mut cursor = self.data.clone().ok_or_else(no_list)?;
                if cursor.kind()? != Kind::List {
                    return Err(no_list());
                }
                self.read_values(&mut cursor, place, spec, held)?
            }
        };
        values::check_shape(|| field(place, spec), &values, &shape)?;
        Ok(Tensor { datatype: spec.datatype, shape, data: values.data })
    }
}

/// Refuses a shape that the model does not take.
pub fn check_fit(field: &str, spec: &Spec, shape: &[i64]) -> Result<(), Refusal> {
    if spec.fits(shape) {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "{field}.shape: is {}, the model takes {spec}, varying sizes from 1",
        shown(shown_shape(shape).as_bytes())
    )))
}

/// The bytes after the JSON, handed out in order.
pub struct Tail<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Tail<'a> {
    pub fn new(bytes: &'a Bytes) -> Tail<'a> {
        Tail { bytes, at: 0 }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, size: usize) -> Option<Bytes> {
        let end = self.at.checked_add(size).filter(|end| *end <= self.bytes.len())?;
        let found = self.bytes.slice(self.at..end);
        self.at = end;
        Some(found)
    }

    pub fn check_end(&self) -> Result<(), Refusal> {
        match self.left() {
            0 => Ok(()),
            more => Err(Refusal::bad(format!("body: has {more} bytes more than the inputs' binary_data_size say"))),
        }
    }
}

/// `inputs[0] (x)`.
pub fn field(place: usize, spec: &Spec) -> String {
    format!("inputs[{place}] ({})", spec.name)
}

pub fn shown_or_none(raw: Option<&[u8]>) -> String {
    raw.map_or_else(|| "not there".to_owned(), shown)
}

fn read_shape(raw: &[u8]) -> Option<Vec<i64>> {
    let mut shape = Vec::with_capacity(4);
    let mut cursor = Cursor::new(raw);
    let read = cursor.list(|cursor| {
        let Number::Whole(size) = cursor.number()? else {
            return Err(not_a_size(cursor));
        };
        if shape.len() == MAX_RANK {
            return Err(not_a_size(cursor));
        }
        shape.push(i64::try_from(size).map_err(|_| not_a_size(cursor))?);
        Ok::<(), Malformed>(())
    });
    read.ok().map(|()| shape)
}

fn not_a_size(cursor: &Cursor<'_>) -> Malformed {
    Malformed { what: "no size", at: cursor.at() }
}

fn binary_size(parameters: Option<&[u8]>, field: impl Fn() -> String) -> Result<Option<usize>, Refusal> {
    let mut size = None;
    each_parameter(
        parameters,
        || format!("{}.parameters", field()),
        |cursor, name| {
            match name {
                "binary_data_size" => {
                    let raw = cursor.skip()?;
                    let found = whole(raw).and_then(|found| usize::try_from(found).ok());
                    size = Some(found.ok_or_else(|| {
                        Refusal::bad(format!(
                            "{}.parameters.binary_data_size: must be a whole number of bytes",
                            field()
                        ))
                    })?);
                }
                "shared_memory_region" => {
                    return Err(Refusal::bad(format!("{}.parameters: shared memory is not served", field())));
                }
                _ => drop(cursor.skip()?),
            }
            Ok(())
        },
    )?;
    Ok(size)
}
