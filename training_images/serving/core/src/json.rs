//! JSON, read in one pass without a tree: numbers go from the request's text into the tensor's bytes.

use std::borrow::Cow;
use std::fmt;

/// The deepest that objects and lists may be nested.
const MAX_DEPTH: usize = 512;

/// What is wrong with a text, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub what: &'static str,
    pub at: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

type Read<T> = Result<T, Malformed>;

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Without fraction or exponent.
    Whole(i128),
    Real(f64),
}

/// The type of the value that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    List,
    Text,
    Number,
    True,
    False,
    Null,
}

/// A place in a JSON text.
#[derive(Clone)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Cursor { text, at: 0 }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    /// The text from `start` to here.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.text[start..self.at]
    }

    fn wrong<T>(&self, what: &'static str) -> Read<T> {
        Err(Malformed { what, at: self.at })
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// The next byte that is no white space; it stays.
    pub fn peek(&mut self) -> Option<u8> {
        self.space();
        self.text.get(self.at).copied()
    }

    /// Reads `byte` if it comes next.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, byte: u8, what: &'static str) -> Read<()> {
        if self.take(byte) { Ok(()) } else { self.wrong(what) }
    }

    pub fn kind(&mut self) -> Read<Kind> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::List),
            Some(b'"') => Ok(Kind::Text),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(_) => self.wrong("no value"),
            None => self.wrong("the text ends"),
        }
    }

    /// Nothing but white space may be left.
    pub fn end(&mut self) -> Read<()> {
        if self.peek().is_none() { Ok(()) } else { self.wrong("more after the value") }
    }

    /// Calls `field` with each name of an object; it has to read the value.
    pub fn object<E: From<Malformed>>(
        &mut self,
        mut field: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "no object")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.text()?;
            self.expect(b':', "no colon after a name")?;
            field(self, name)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',', "no comma between fields")?;
        }
    }

    /// Calls `item` at each item of a list; it has to read it.
    pub fn list<E: From<Malformed>>(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.expect(b'[', "no list")?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',', "no comma between items")?;
        }
    }

    pub fn word(&mut self) -> Read<Kind> {
        let (word, kind): (&[u8], Kind) = match self.peek() {
            Some(b't') => (b"true", Kind::True),
            Some(b'f') => (b"false", Kind::False),
            Some(b'n') => (b"null", Kind::Null),
            _ => return self.wrong("no value"),
        };
        if !self.text[self.at..].starts_with(word) {
            return self.wrong("no value");
        }
        self.at += word.len();
        Ok(kind)
    }

    pub fn number(&mut self) -> Read<Number> {
        self.space();
        let start = self.at;
        let negative = self.text.get(self.at) == Some(&b'-');
        self.at += usize::from(negative);
        let (mut mantissa, mut digits, mut exponent) = (0u64, 0usize, 0i32);
        let whole_from = self.at;
        digits += self.digits(&mut mantissa);
        if digits == 0 {
            return self.wrong("no number");
        }
        if digits > 1 && self.text[whole_from] == b'0' {
            return self.wrong("a number begins with 0");
        }
        let mut whole = true;
        if self.text.get(self.at) == Some(&b'.') {
            whole = false;
            self.at += 1;
            let fraction = self.digits(&mut mantissa);
            if fraction == 0 {
                return self.wrong("no digit after the point");
            }
            digits += fraction;
            exponent = -i32::try_from(fraction).unwrap_or(i32::MAX);
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            whole = false;
            exponent = exponent.saturating_add(self.exponent()?);
        }
        if digits <= 19 {
            if whole {
                let value = i128::from(mantissa);
                return Ok(Number::Whole(if negative { -value } else { value }));
            }
            if let Some(value) = exact(mantissa, exponent) {
                return Ok(Number::Real(if negative { -value } else { value }));
            }
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        if whole && digits <= 38 {
            return text.parse().map(Number::Whole).or_else(|_| self.wrong("no number"));
        }
        text.parse().map(Number::Real).or_else(|_| self.wrong("no number"))
    }

    fn digits(&mut self, mantissa: &mut u64) -> usize {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            // Past 19 digits it wraps, and is not used.
            *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        self.at - start
    }

    fn exponent(&mut self) -> Read<i32> {
        self.at += 1;
        let sign = self.text.get(self.at).copied();
        self.at += usize::from(matches!(sign, Some(b'+' | b'-')));
        let mut value = 0i32;
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            value = value.saturating_mul(10).saturating_add(i32::from(digit - b'0'));
            self.at += 1;
        }
        if self.at == start {
            return self.wrong("no digit in the exponent");
        }
        Ok(if sign == Some(b'-') { -value } else { value })
    }

    pub fn text(&mut self) -> Read<Cow<'a, str>> {
        self.expect(b'"', "no text")?;
        let start = self.at;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => return self.escaped(start),
                Some(0..=0x1f) => return self.wrong("a control character in a text"),
                Some(_) => self.at += 1,
                None => return self.wrong("a text does not end"),
            }
        }
        let Ok(found) = std::str::from_utf8(&self.text[start..self.at]) else {
            return self.wrong("a text is not UTF-8");
        };
        self.at += 1;
        Ok(Cow::Borrowed(found))
    }

    fn escaped(&mut self, start: usize) -> Read<Cow<'a, str>> {
        let mut found = self.text[start..self.at].to_vec();
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    let letter = self.escape()?;
                    found.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(0..=0x1f) => return self.wrong("a control character in a text"),
                Some(byte) => {
                    found.push(*byte);
                    self.at += 1;
                }
                None => return self.wrong("a text does not end"),
            }
        }
        let Ok(found) = String::from_utf8(found) else {
            return self.wrong("a text is not UTF-8");
        };
        self.at += 1;
        Ok(Cow::Owned(found))
    }

    fn escape(&mut self) -> Read<char> {
        let letter = match self.text.get(self.at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.wrong("no such escape"),
        };
        self.at += 1;
        Ok(letter)
    }

    fn unicode(&mut self) -> Read<char> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).map_or_else(|| self.wrong("half of a surrogate pair"), Ok);
        }
        if self.text.get(self.at) != Some(&b'\\') {
            return self.wrong("half of a surrogate pair");
        }
        self.at += 1;
        if self.text.get(self.at) != Some(&b'u') {
            return self.wrong("half of a surrogate pair");
        }
        let second = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return self.wrong("half of a surrogate pair");
        }
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(code).map_or_else(|| self.wrong("half of a surrogate pair"), Ok)
    }

    /// The digits after `u`, at which the cursor is.
    fn four_digits(&mut self) -> Read<u32> {
        let digits = self.text.get(self.at + 1..self.at + 5).filter(|found| found.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits.and_then(|found| std::str::from_utf8(found).ok()) else {
            return self.wrong("no four digits after \\u");
        };
        self.at += 5;
        u32::from_str_radix(digits, 16).or_else(|_| self.wrong("no four digits after \\u"))
    }

    /// Reads past any value, checked no less than one that is used; gives its text.
    pub fn skip(&mut self) -> Read<&'a [u8]> {
        self.space();
        let start = self.at;
        let mut open: Vec<u8> = Vec::new();
        loop {
            // At a value.
            match self.kind()? {
                kind @ (Kind::Object | Kind::List) => {
                    let closing = if kind == Kind::Object { b'}' } else { b']' };
                    self.at += 1;
                    if !self.take(closing) {
                        if open.len() == MAX_DEPTH {
                            return self.wrong("nested too deep");
                        }
                        open.push(closing);
                        if closing == b'}' {
                            self.name()?;
                        }
                        continue;
                    }
                }
                Kind::Text => drop(self.text()?),
                Kind::Number => drop(self.number()?),
                _ => drop(self.word()?),
            }
            // After a value.
            loop {
                let Some(&closing) = open.last() else {
                    return Ok(self.since(start));
                };
                if self.take(closing) {
                    open.pop();
                    continue;
                }
                self.expect(b',', "no comma between values")?;
                if closing == b'}' {
                    self.name()?;
                }
                break;
            }
        }
    }

    fn name(&mut self) -> Read<()> {
        self.text()?;
        self.expect(b':', "no colon after a name")
    }
}

/// `mantissa * 10^exponent` where both are exact as f64, and so is one operation with them (Clinger 1990).
fn exact(mantissa: u64, exponent: i32) -> Option<f64> {
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ];
    if mantissa > 1 << 53 {
        return None;
    }
    let power = *POWERS.get(exponent.unsigned_abs() as usize)?;
    Some(if exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power })
}

/// Writes a text with its quotes.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

pub fn write_whole(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The shortest text that reads as the same number; null for what is not finite, which JSON has no name for.
pub fn write_real<T: ryu::Float + Finite>(out: &mut Vec<u8>, value: T) {
    if value.is_finite_number() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

pub trait Finite {
    fn is_finite_number(&self) -> bool;
}

impl Finite for f32 {
    fn is_finite_number(&self) -> bool {
        self.is_finite()
    }
}

impl Finite for f64 {
    fn is_finite_number(&self) -> bool {
        self.is_finite()
    }
}

/// A value as an error shows it: a text in single quotes, anything else as it came, and not much of it.
pub fn shown(value: &[u8]) -> String {
    const LONGEST: usize = 60;
    let whole = match Cursor::new(value).text() {
        Ok(text) => format!("'{text}'"),
        Err(_) => String::from_utf8_lossy(value).into_owned(),
    };
    match whole.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{} ...", &whole[..cut]),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Read<Number> {
        let mut cursor = Cursor::new(text.as_bytes());
        let found = cursor.number()?;
        cursor.end()?;
        Ok(found)
    }

    #[test]
    fn numbers() {
        for (text, value) in [
            ("0", Number::Whole(0)),
            ("-0", Number::Whole(0)),
            ("-17", Number::Whole(-17)),
            ("18446744073709551615", Number::Whole(18_446_744_073_709_551_615)),
            ("1.0", Number::Real(1.0)),
            ("-1.5e3", Number::Real(-1500.0)),
            ("1e400", Number::Real(f64::INFINITY)),
            ("0.1", Number::Real(0.1)),
            ("5e-324", Number::Real(5e-324)),
            ("123456789012345678901234567890.5", Number::Real(123456789012345678901234567890.5)),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for text in ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "Infinity", "--1", "1 2"] {
            assert!(number(text).is_err(), "{text}");
        }
        let huge = "9".repeat(400);
        assert_eq!(number(&huge), Ok(Number::Real(f64::INFINITY)));
    }

    #[test]
    fn numbers_are_read_as_the_standard_library_reads_them() {
        let mut seed = 1u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(seed ^ (seed >> 31));
            for text in [format!("{value:e}"), format!("{:.6}", value % 1000.0), format!("{}", value as f32)] {
                if let Ok(Number::Real(found)) = number(&text) {
                    assert_eq!(found.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
                }
            }
        }
    }

    #[test]
    fn texts() {
        for (text, value) in
            [(r#""""#, ""), (r#""ab""#, "ab"), (r#""a\n\"\\\/é""#, "a\n\"\\/é"), (r#""😀""#, "😀"), ("\"é\"", "é")]
        {
            assert_eq!(Cursor::new(text.as_bytes()).text().as_deref(), Ok(value));
        }
        for text in [
            &b"\""[..],
            b"\"\\",
            b"\"\\x\"",
            b"\"\\ud83d\"",
            b"\"\\u12\"",
            b"\"\n\"",
            b"\"\xff\"",
            b"\"\\n\xff\"",
            b"a",
        ] {
            assert!(Cursor::new(text).text().is_err(), "{text:?}");
        }
    }

    #[test]
    fn any_value_is_read_past() {
        for text in ["1", "[]", "{}", "[1,[2,{}],\"x\"]", r#" {"a": [true, false, null], "b": {"c": -1.5e3}} "#] {
            let mut cursor = Cursor::new(text.as_bytes());
            assert_eq!(cursor.skip().map(<[u8]>::len), Ok(text.trim().len()), "{text}");
            assert!(cursor.end().is_ok());
        }
        for text in
            ["", "[", "{", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "[}", "{\"a\":1,}", "tru", "nul", "[1", "]"]
        {
            assert!(Cursor::new(text.as_bytes()).skip().is_err(), "{text}");
        }
        assert!(Cursor::new("[".repeat(100_000).as_bytes()).skip().is_err());
    }

    #[test]
    fn texts_are_written_so_that_they_can_be_read() {
        let mut out = Vec::new();
        write_text(&mut out, "a\"\\\n\u{1}é");
        assert_eq!(Cursor::new(&out).text().as_deref(), Ok("a\"\\\n\u{1}é"));
    }

    #[test]
    fn what_is_not_finite_is_null() {
        let mut out = Vec::new();
        write_real(&mut out, f32::NAN);
        write_real(&mut out, 0.1f32);
        write_real(&mut out, f64::INFINITY);
        assert_eq!(out, b"null0.1null");
    }

    #[test]
    fn values_are_shown_short() {
        assert_eq!(shown(b"\"z\""), "'z'");
        assert_eq!(shown(b"{\"a\":1}"), "{\"a\":1}");
        assert!(shown("é".repeat(100).as_bytes()).ends_with(" ..."));
    }
}
