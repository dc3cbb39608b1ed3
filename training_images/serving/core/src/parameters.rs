//! What `parameters` of a request may say; what we do not know is left alone, as the protocol asks.

use std::time::Duration;

use crate::json::{Cursor, Kind, Number};
use crate::refusal::Refusal;

/// Who comes first, and until when an answer is of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Urgency {
    /// 0 where the client says none; the smaller, the sooner.
    pub priority: u32,
    pub timeout: Option<Duration>,
}

/// Calls `each` with every parameter of an object that may be absent or null.
pub fn each_parameter<'a>(
    raw: Option<&'a [u8]>,
    field: impl Fn() -> String,
    mut each: impl FnMut(&mut Cursor<'a>, &str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let Some(raw) = raw else { return Ok(()) };
    let mut cursor = Cursor::new(raw);
    match cursor.kind()? {
        Kind::Null => Ok(()),
        Kind::Object => cursor.object(|cursor, name| each(cursor, &name)),
        _ => Err(Refusal::bad(format!("{}: must be an object", field()))),
    }
}

/// Those of a request.
#[derive(Default)]
pub struct Parameters<'a> {
    pub event_time: Option<&'a [u8]>,
    pub binary_output: bool,
    pub urgency: Urgency,
}

impl<'a> Parameters<'a> {
    pub fn read(raw: Option<&'a [u8]>) -> Result<Parameters<'a>, Refusal> {
        Parameters::read_of("parameters", raw)
    }

    /// Those in the object that `field` names.
    pub fn read_of(field: &str, raw: Option<&'a [u8]>) -> Result<Parameters<'a>, Refusal> {
        let mut found = Parameters::default();
        each_parameter(
            raw,
            || field.to_owned(),
            |cursor, name| {
                let value = cursor.skip()?;
                match name {
                    "event_time" => found.event_time = Some(value),
                    "binary_data_output" => found.binary_output = truth(value, "parameters.binary_data_output")?,
                    "priority" => found.urgency.priority = priority(whole(value))?,
                    "timeout" => found.urgency.timeout = timeout(whole(value))?,
                    _ => {}
                }
                Ok(())
            },
        )?;
        Ok(found)
    }
}

pub fn priority(sent: Option<i128>) -> Result<u32, Refusal> {
    sent.and_then(|sent| u32::try_from(sent).ok())
        .ok_or_else(|| Refusal::bad("parameters.priority: must be a whole number from 0, the smaller the sooner"))
}

pub fn timeout(sent: Option<i128>) -> Result<Option<Duration>, Refusal> {
    let micros = sent
        .and_then(|sent| u64::try_from(sent).ok())
        .ok_or_else(|| Refusal::bad("parameters.timeout: must be a whole number of microseconds"))?;
    Ok((micros > 0).then(|| Duration::from_micros(micros)))
}

pub fn truth(raw: &[u8], field: &str) -> Result<bool, Refusal> {
    match raw {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(Refusal::bad(format!("{field}: must be true or false"))),
    }
}

/// A number that is whole.
pub fn whole(raw: &[u8]) -> Option<i128> {
    match Cursor::new(raw).number() {
        Ok(Number::Whole(value)) => Some(value),
        _ => None,
    }
}
