//! A closed loop of HTTP/1.1 requests: each connection sends its next one when it has the answer to the last.
//!
//!     load HOST:PORT PATH BODY-FILE CONNECTIONS SECONDS [HEADER ...]
//!
//! Prints one line of JSON: answers a second, latencies in microseconds, and how many were not 200. The first fifth of the
//! time warms up, and is not counted.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

const WARM_UP: f64 = 0.2;
const BUFFER: usize = 1 << 20;

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    sent: Instant,
    connected: bool,
}

impl Connection {
    fn open(address: SocketAddr, place: usize, poll: &Poll) -> std::io::Result<Connection> {
        let mut stream = TcpStream::connect(address)?;
        poll.registry().register(&mut stream, Token(place), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection { stream, buffer: vec![0; BUFFER], filled: 0, sent: Instant::now(), connected: false })
    }

    fn send(&mut self, request: &[u8]) -> std::io::Result<()> {
        self.sent = Instant::now();
        self.stream.write_all(request)
    }

    /// Reads what there is; false at the end of the connection.
    fn fill(&mut self) -> std::io::Result<bool> {
        loop {
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Ok(false),
                Ok(length) => self.filled += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

/// A whole answer.
struct Answer {
    is_good: bool,
    closes: bool,
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    let length: usize = field("content-length")?.parse().ok()?;
    (bytes.len() >= end + 4 + length)
        .then(|| Answer { is_good: head.starts_with("http/1.1 200"), closes: field("connection") == Some("close") })
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [host, path, file, connections, seconds, headers @ ..] = words.as_slice() else {
        return Err("usage: load HOST:PORT PATH BODY-FILE CONNECTIONS SECONDS [HEADER ...]".into());
    };
    let (address, seconds): (SocketAddr, f64) = (host.parse()?, seconds.parse()?);
    let request = request(host, path, &std::fs::read(file)?, headers);
    let mut poll = Poll::new()?;
    let mut open = Vec::new();
    for place in 0..connections.parse()? {
        open.push(Connection::open(address, place, &poll)?);
    }
    let (start, warm, end) =
        (Instant::now(), Duration::from_secs_f64(seconds * WARM_UP), Duration::from_secs_f64(seconds));
    let (mut latencies, mut bad, mut reopened) = (Vec::new(), 0u64, 0u64);
    let mut events = Events::with_capacity(256);
    while start.elapsed() < end {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let place = event.token().0;
            let one = &mut open[place];
            if !one.connected {
                one.connected = true;
                one.stream.set_nodelay(true)?;
                one.send(&request)?;
            }
            let is_open = one.fill()?;
            let found = answer(&one.buffer[..one.filled]);
            if let Some(found) = &found {
                one.filled = 0;
                if start.elapsed() > warm {
                    latencies.push(one.sent.elapsed());
                    bad += u64::from(!found.is_good);
                }
            }
            match found {
                Some(found) if found.closes || !is_open => {
                    reopened += 1;
                    open[place] = Connection::open(address, place, &poll)?;
                }
                Some(_) => one.send(&request)?,
                None if !is_open => return Err("a connection ended before its answer".into()),
                None => {}
            }
        }
    }
    report(latencies, (start.elapsed() - warm).as_secs_f64(), bad, reopened);
    Ok(())
}

fn request(host: &str, path: &str, body: &[u8], headers: &[String]) -> Vec<u8> {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    if headers.iter().all(|header| !header.to_ascii_lowercase().starts_with("content-type:")) {
        head.push_str("Content-Type: application/json\r\n");
    }
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

fn report(mut latencies: Vec<Duration>, seconds: f64, bad: u64, reopened: u64) {
    latencies.sort_unstable();
    let percentile = |share: f64| {
        let place = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        latencies.get(place).map_or(0.0, |one| one.as_nanos() as f64 / 1e3)
    };
    println!(
        r#"{{"rate":{:.0},"p50":{:.0},"p99":{:.0},"p999":{:.0},"bad":{bad},"reopened":{reopened}}}"#,
        latencies.len() as f64 / seconds,
        percentile(0.5),
        percentile(0.99),
        percentile(0.999),
    );
}
