//! A data frame: rows of cells, each as JSON.

use std::borrow::Cow;

use super::{Known, names, tensor};
use crate::json::{Cursor, Kind, write_text};
use crate::limits::Held;
use crate::refusal::Refusal;
use crate::sent::keep;
use crate::tensor::{Datatype, Tensor};

/// What a cell takes in memory beside its bytes, here and in the list that is made of it.
pub const CELL: usize = 64;

/// Cells row by row.
#[derive(Debug)]
pub struct Frame<'a> {
    /// `None` where they have no names.
    pub columns: Option<Vec<Cow<'a, str>>>,
    pub width: usize,
    pub cells: Vec<Cow<'a, [u8]>>,
    /// They are texts that say a value, as those of CSV are, and no JSON.
    pub are_texts: bool,
}

impl<'a> Frame<'a> {
    /// `{"columns": [..], "data": [[..], ..]}`.
    pub fn split(raw: &'a [u8], held: &mut Held) -> Result<Frame<'a>, Refusal> {
        let wrong = || Refusal::bad("dataframe_split: must be an object with data, and columns");
        let mut cursor = Cursor::new(raw);
        if cursor.kind()? != Kind::Object {
            return Err(wrong());
        }
        let (mut columns, mut data) = (None, None);
        cursor.object(|cursor, name| match name.as_ref() {
            "columns" => keep(cursor, &mut columns),
            "data" => keep(cursor, &mut data),
            _ => Ok(cursor.skip().map(drop)?),
        })?;
        let columns = columns.filter(|raw| *raw != b"null").map(read_columns).transpose()?;
        let mut cursor = Cursor::new(data.ok_or_else(wrong)?);
        let mut width = columns.as_ref().map(Vec::len);
        let (mut cells, mut row) = (Vec::new(), 0);
        let not_rows = || Refusal::bad("dataframe_split.data: must be a list of rows");
        if cursor.kind()? != Kind::List {
            return Err(not_rows());
        }
        cursor.list(|cursor| {
            if cursor.kind()? != Kind::List {
                return Err(not_rows());
            }
            let before = cells.len();
            cursor.list(|cursor| {
                held.add(CELL)?;
                cells.push(Cow::Borrowed(cursor.skip()?));
                Ok::<(), Refusal>(())
            })?;
            let found = cells.len() - before;
            if found != *width.get_or_insert(found) {
                let width = width.unwrap_or_default();
                return Err(Refusal::bad(format!(
                    "dataframe_split.data[{row}]: has {found} values for {width} columns"
                )));
            }
            row += 1;
            Ok(())
        })?;
        Ok(Frame { columns, width: width.unwrap_or_default(), cells, are_texts: false })
    }

    /// `[{"a": .., "b": ..}, ..]`; columns are those of the first.
    pub fn records(form: &str, raw: &'a [u8], held: &mut Held) -> Result<Frame<'a>, Refusal> {
        let wrong = || Refusal::bad(format!("{form}: must be a list of records"));
        let mut cursor = Cursor::new(raw);
        if cursor.kind()? != Kind::List {
            return Err(wrong());
        }
        let mut columns: Vec<Cow<'a, str>> = Vec::new();
        let mut cells: Vec<Cow<'a, [u8]>> = Vec::new();
        let mut row = 0;
        cursor.list(|cursor| {
            if cursor.kind()? != Kind::Object {
                return Err(wrong());
            }
            let start = cells.len();
            held.add(CELL * columns.len())?;
            cells.resize(start + columns.len(), Cow::Borrowed(b"null"));
            // Records mostly have their fields in the same order.
            let mut next = 0;
            cursor.object(|cursor, name| {
                let guessed = (columns.get(next) == Some(&name)).then_some(next);
                let place = guessed.or_else(|| columns.iter().position(|column| *column == name));
                let cell = Cow::Borrowed(cursor.skip()?);
                match place {
                    Some(place) => {
                        cells[start + place] = cell;
                        next = place + 1;
                    }
                    None if row == 0 => {
                        held.add(CELL)?;
                        columns.push(name);
                        cells.push(cell);
                    }
                    None => return Err(Refusal::bad(format!("{form}[{row}]: '{name}' is no column of the first"))),
                }
                Ok::<(), Refusal>(())
            })?;
            row += 1;
            Ok(())
        })?;
        Ok(Frame { width: columns.len(), columns: Some(columns), cells, are_texts: false })
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns.as_ref()?.iter().position(|column| column == name)
    }

    /// The model's inputs: each the column of its name, or the one all columns.
    pub fn tensors(&self, form: &str, known: Known<'_>, held: &mut Held) -> Result<Vec<Tensor>, Refusal> {
        if self.cells.is_empty() {
            return Err(Refusal::bad(format!("{form}: has no rows")));
        }
        let missing = |name: &str| Refusal::bad(format!("{form}: column {name} is missing"));
        let of_inputs = known.inputs.iter().map(|spec| self.place(&spec.name)).collect::<Option<Vec<_>>>();
        if let Some(places) = of_inputs {
            let each = known.inputs.iter().zip(places);
            return each
                .map(|(spec, place)| {
                    let list = self.list(&[place], spec.datatype, false);
                    held.add(list.len())?;
                    tensor(form, spec, &list, true, held)
                })
                .collect();
        }
        let [spec] = known.inputs else {
            let absent = known.inputs.iter().find(|spec| self.place(&spec.name).is_none());
            return Err(missing(&absent.map_or_else(|| names(known), |spec| spec.name.clone())));
        };
        let places = if self.columns.is_some() && !known.columns.is_empty() {
            let place = |name: &String| self.place(name).ok_or_else(|| missing(name));
            known.columns.iter().map(place).collect::<Result<Vec<_>, _>>()?
        } else {
            (0..self.width).collect()
        };
        let list = self.list(&places, spec.datatype, spec.dims.len() > 1);
        held.add(list.len())?;
        Ok(vec![tensor(form, spec, &list, false, held)?])
    }

    /// The columns at `places` as JSON: a list of values, or of lists with those of a row.
    fn list(&self, places: &[usize], datatype: Datatype, nested: bool) -> Vec<u8> {
        let mut json = vec![b'['];
        for (place, row) in self.cells.chunks(self.width.max(1)).enumerate() {
            if place > 0 {
                json.push(b',');
            }
            if nested {
                json.push(b'[');
            }
            for (column, place) in places.iter().enumerate() {
                if column > 0 {
                    json.push(b',');
                }
                match row.get(*place) {
                    Some(cell) if self.are_texts => write_said(&mut json, &String::from_utf8_lossy(cell), datatype),
                    Some(cell) => json.extend_from_slice(cell),
                    None => {}
                }
            }
            if nested {
                json.push(b']');
            }
        }
        json.push(b']');
        json
    }
}

fn read_columns(raw: &[u8]) -> Result<Vec<Cow<'_, str>>, Refusal> {
    let wrong = || Refusal::bad("dataframe_split.columns: must be a list of names");
    let mut columns: Vec<Cow<'_, str>> = Vec::new();
    let mut cursor = Cursor::new(raw);
    if cursor.kind()? != Kind::List {
        return Err(wrong());
    }
    cursor.list(|cursor| {
        // Those of a frame without names are numbers.
        let name = match cursor.kind()? {
            Kind::Text => cursor.text()?,
            Kind::Number => String::from_utf8_lossy(cursor.skip()?),
            _ => return Err(wrong()),
        };
        columns.push(name);
        Ok(())
    })?;
    no_name_twice("dataframe_split.columns", &columns)?;
    Ok(columns)
}

pub fn no_name_twice(field: &str, columns: &[Cow<'_, str>]) -> Result<(), Refusal> {
    let mut sorted: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(Refusal::bad(format!("{field}: '{}' is there twice", two[0]))),
        None => Ok(()),
    }
}

/// The value that a text says, as JSON; one that says none of the datatype stays a text, which is refused.
fn write_said(json: &mut Vec<u8>, text: &str, datatype: Datatype) {
    let trimmed = text.trim();
    match datatype {
        Datatype::Bytes => write_text(json, text),
        Datatype::Bool if trimmed.eq_ignore_ascii_case("true") => json.extend_from_slice(b"true"),
        Datatype::Bool if trimmed.eq_ignore_ascii_case("false") => json.extend_from_slice(b"false"),
        _ if trimmed.is_empty() || trimmed.eq_ignore_ascii_case("nan") => json.extend_from_slice(b"null"),
        _ => {
            let mut cursor = Cursor::new(trimmed.as_bytes());
            if cursor.number().is_ok() && cursor.end().is_ok() {
                json.extend_from_slice(trimmed.as_bytes());
            } else {
                write_text(json, text);
            }
        }
    }
}
