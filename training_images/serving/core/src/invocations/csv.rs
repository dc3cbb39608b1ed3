//! CSV as `DataFrame.to_csv(index=False)` writes it: a header, commas, quotes where they are needed.

use std::borrow::Cow;

use super::frame::{CELL, Frame, no_name_twice};
use crate::limits::Held;
use crate::refusal::Refusal;

/// The table in `body`; empty lines are left out.
pub fn read<'a>(body: &'a [u8], held: &mut Held) -> Result<Frame<'a>, Refusal> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = std::str::from_utf8(body).map_err(|_| Refusal::bad("csv: is not UTF-8"))?;
    let mut lines = Lines { rest: body, number: 0 };
    let columns = lines.next_row(held)?.ok_or_else(|| Refusal::bad("csv: has no header"))?;
    no_name_twice("csv", &columns)?;
    let mut cells = Vec::new();
    while let Some(row) = lines.next_row(held)? {
        let (found, width) = (row.len(), columns.len());
        if found != width {
            return Err(Refusal::bad(format!("csv line {}: has {found} values for {width} columns", lines.number)));
        }
        cells.extend(row.into_iter().map(|cell| match cell {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }));
    }
    Ok(Frame { width: columns.len(), columns: Some(columns), cells, are_texts: true })
}

struct Lines<'a> {
    rest: &'a str,
    /// Of the last row, from 1.
    number: usize,
}

impl<'a> Lines<'a> {
    fn next_row(&mut self, held: &mut Held) -> Result<Option<Vec<Cow<'a, str>>>, Refusal> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            match self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n')) {
                Some(rest) => self.rest = rest,
                None => break,
            }
        }
        let mut row = Vec::new();
        loop {
            held.add(CELL)?;
            row.push(self.cell()?);
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            let ends = ["\r\n", "\n"];
            match ends.iter().find_map(|end| self.rest.strip_prefix(end)) {
                Some(rest) => self.rest = rest,
                None if self.rest.is_empty() => {}
                None => return Err(Refusal::bad(format!("csv line {}: more after a quote", self.number))),
            }
            return Ok(Some(row));
        }
    }

    fn cell(&mut self) -> Result<Cow<'a, str>, Refusal> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
            let (cell, rest) = self.rest.split_at(end);
            // The line may end by both.
            let cell = if rest.starts_with(',') { cell } else { cell.strip_suffix('\r').unwrap_or(cell) };
            self.rest = &self.rest[cell.len()..];
            return Ok(Cow::Borrowed(cell));
        };
        let mut text = String::new();
        let mut rest = quoted;
        loop {
            let Some(end) = rest.find('"') else {
                return Err(Refusal::bad(format!("csv line {}: a quote is not closed", self.number)));
            };
            text.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(more) => {
                    text.push('"');
                    rest = more;
                }
                None => break,
            }
        }
        self.number += text.matches('\n').count();
        self.rest = rest;
        Ok(Cow::Owned(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let found = read(text.as_bytes(), &mut Held::plenty()).map_err(|refusal| refusal.message)?;
        let cells = found.cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned());
        Ok((found.columns.unwrap().into_iter().map(Cow::into_owned).collect(), cells.collect()))
    }

    #[test]
    fn tables() {
        for (text, columns, cells) in [
            ("a,b\n1,2\n", &["a", "b"][..], &["1", "2"][..]),
            ("a,b\r\n1,2\r\n3,", &["a", "b"], &["1", "2", "3", ""]),
            ("\u{feff}a\n\n1\n\n", &["a"], &["1"]),
            ("\"a,b\",c\n\"x\"\"\ny\",1\n", &["a,b", "c"], &["x\"\ny", "1"]),
        ] {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            assert_eq!(table(text), Ok((owned(columns), owned(cells))), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, said) in [
            ("", "csv: has no header"),
            ("a,a\n1,2", "csv: 'a' is there twice"),
            ("a\n1,2", "csv line 2: has 2 values for 1 columns"),
            ("a\n\"x\ny\"\n1,2", "csv line 4: has 2 values for 1 columns"),
            ("a\n\"1", "csv line 2: a quote is not closed"),
            ("a\n\"1\"x", "csv line 2: more after a quote"),
        ] {
            assert_eq!(table(text), Err(said.to_owned()), "{text:?}");
        }
    }
}
