//! Reads one HTTP/1.1 answer, whose body is of no interest, as its bytes come.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The server ends the connection after it.
    pub closes: bool,
}

/// What came is no answer of HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage;

#[derive(Default)]
pub struct Reading {
    /// What is not read yet.
    rest: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Head,
    Body(Answer, Left),
}

#[derive(Clone, Copy)]
enum Left {
    Bytes(usize),
    /// Of a chunk, with its end of line; then come others.
    Chunk(usize),
    Chunks,
    /// Lines up to an empty one.
    Trailers,
    ToTheEnd,
}

const MOST_HEADERS: usize = 64;

impl Reading {
    /// Whether nothing came yet.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty() && matches!(self.state, State::Head)
    }

    /// The connection ended: an answer, where its end is that of the connection.
    pub fn end(&mut self) -> Result<Option<Answer>, Garbage> {
        match self.state {
            State::Body(answer, Left::ToTheEnd) => Ok(Some(answer)),
            _ => Ok(None),
        }
    }

    /// The answer, if `bytes` are its last. More than an answer is garbage, since there was but one request.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Answer>, Garbage> {
        if self.rest.is_empty() {
            let used = self.advance(bytes)?;
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            self.rest.extend_from_slice(bytes);
            let all = std::mem::take(&mut self.rest);
            let used = self.advance(&all)?;
            self.rest.extend_from_slice(&all[used..]);
        }
        match self.state {
            State::Body(answer, Left::Bytes(0)) if self.rest.is_empty() => Ok(Some(answer)),
            State::Body(_, Left::Bytes(0)) => Err(Garbage),
            _ => Ok(None),
        }
    }

    /// Reads as far as it goes; gives how many bytes are done with.
    fn advance(&mut self, bytes: &[u8]) -> Result<usize, Garbage> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let used = match &mut self.state {
                State::Head => match head(rest)? {
                    Some((length, answer, left)) => {
                        // Of 1xx there follows another.
                        if answer.status >= 200 {
                            self.state = State::Body(answer, left);
                        }
                        length
                    }
                    None => return Ok(at),
                },
                State::Body(_, left) => match body(rest, left)? {
                    Some(length) => length,
                    None => return Ok(at),
                },
            };
            at += used;
            if matches!(self.state, State::Body(_, Left::Bytes(0))) {
                return Ok(at);
            }
        }
    }
}

/// Length of the head, what it says, and what comes after it; `None` when it is not whole.
fn head(bytes: &[u8]) -> Result<Option<(usize, Answer, Left)>, Garbage> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes).map_err(|_| Garbage)? else { return Ok(None) };
    let status = response.code.ok_or(Garbage)?;
    let value = |name: &str| response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let has = |name: &str, word: &str| {
        value(name).is_some_and(|header| {
            header.value.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    let kept_by_default = response.version == Some(1);
    let mut closes = has("connection", "close") || (!kept_by_default && !has("connection", "keep-alive"));
    let left = if has("transfer-encoding", "chunked") {
        Left::Chunks
    } else if matches!(status, 204 | 304) {
        Left::Bytes(0)
    } else if let Some(length) = value("content-length") {
        Left::Bytes(std::str::from_utf8(length.value).ok().and_then(|text| text.trim().parse().ok()).ok_or(Garbage)?)
    } else {
        closes = true;
        Left::ToTheEnd
    };
    Ok(Some((length, Answer { status, closes }, left)))
}

/// How many bytes of a body are done with; `None` when more are needed to go on.
fn body(bytes: &[u8], left: &mut Left) -> Result<Option<usize>, Garbage> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(match left {
        Left::Bytes(length) | Left::Chunk(length) => {
            let used = bytes.len().min(*length);
            *length -= used;
            if let Left::Chunk(0) = left {
                *left = Left::Chunks;
            }
            Some(used)
        }
        Left::Chunks => match httparse::parse_chunk_size(bytes).map_err(|_| Garbage)? {
            httparse::Status::Complete((used, 0)) => {
                *left = Left::Trailers;
                Some(used)
            }
            httparse::Status::Complete((used, length)) => {
                let length = usize::try_from(length).map_err(|_| Garbage)?;
                *left = Left::Chunk(length.checked_add(2).ok_or(Garbage)?);
                Some(used)
            }
            httparse::Status::Partial => None,
        },
        Left::Trailers => {
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
            if bytes[..end].trim_ascii().is_empty() {
                *left = Left::Bytes(0);
            }
            Some(end + 1)
        }
        Left::ToTheEnd => Some(bytes.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of `text` in parts of `size`, and whether it took the connection's end.
    fn read(text: &str, size: usize) -> Result<Option<(Answer, bool)>, Garbage> {
        let mut reading = Reading::default();
        let parts: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        for (place, part) in parts.iter().enumerate() {
            if let Some(answer) = reading.take(part)? {
                assert_eq!(place + 1, parts.len(), "there is more");
                return Ok(Some((answer, false)));
            }
        }
        Ok(reading.end()?.map(|answer| (answer, true)))
    }

    #[test]
    fn answers_in_one_part_and_in_many() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n";
        let table = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, false, false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n", 200, true, false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", 200, true, false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\nConnection: keep-alive\r\n\r\na", 200, false, false),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, false, false),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 X\r\nContent-Length: 1\r\n\r\na", 503, false, false),
            ("HTTP/1.1 500 X\r\n\r\nsome text", 500, true, true),
            (&format!("{chunked}\r\n"), 200, false, false),
            (&format!("{chunked}A: b\r\n\r\n"), 200, false, false),
        ];
        for (text, status, closes, by_the_end) in table {
            for size in [1, 2, 7, 1000] {
                assert_eq!(read(text, size), Ok(Some((Answer { status, closes }, by_the_end))), "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        for text in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"] {
            assert_eq!(read(text, 5), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn garbage() {
        for text in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert_eq!(read(text, 1000), Err(Garbage), "{text:?}");
        }
    }
}
