//! The load generator: requests at planned times, whatever becomes of those before them (open loop), or each connection's
//! next one at its last one's answer (closed loop). One thread, as many requests under way as there are connections.
//!
//! In an open loop the latency of a request counts from its planned time. A server that stalls is thus charged with every request
//! that it kept from being sent, and not only with the one that it held.

mod arrivals;
mod grpc;
mod http1;
mod link;
mod pacer;
#[cfg(feature = "python")]
pub mod python;
mod reading;
mod record;
mod timer;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout_at};

pub use arrivals::Arrivals;
pub use record::{Record, Snapshot, Spread};

use link::{Exchange, Link};
use pacer::{Pacer, Seat};

/// Between two looks at how it goes.
const TICK: Duration = Duration::from_millis(500);
/// After a server could not be reached, before the same connection tries again.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Grpc,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Poisson arrivals, so many a second.
    Open(f64),
    Closed,
}

/// What is sent: its headers beside those that every request has, and its body. A gRPC message comes without its prefix.
#[derive(Clone, Debug)]
pub struct Request {
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

pub struct Plan {
    /// `HOST:PORT`
    pub authority: String,
    pub protocol: Protocol,
    pub path: String,
    /// Sent in turns.
    pub requests: Vec<Request>,
    pub connections: usize,
    pub pace: Pace,
    pub warm_up: Duration,
    /// After the warm-up.
    pub length: Duration,
    /// From a request's planned time.
    pub timeout: Duration,
    pub seed: u64,
}

/// Why nothing was measured.
#[derive(Debug)]
pub struct Unmeasured(pub String);

impl fmt::Display for Unmeasured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Unmeasured {
    fn from(error: std::io::Error) -> Unmeasured {
        Unmeasured(error.to_string())
    }
}

/// Where a load that is under way says how it goes, and is told to stop.
#[derive(Default)]
pub struct Watch {
    latest: Mutex<(Snapshot, bool)>,
}

impl Watch {
    pub fn latest(&self) -> Snapshot {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub fn stop(&self) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
    }

    fn tell(&self, snapshot: Snapshot) -> bool {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.0 = snapshot;
        latest.1
    }
}

/// Carries `plan` out on this thread.
pub fn run(plan: &Plan, watch: &Watch) -> Result<Record, Unmeasured> {
    let addresses = reachable(&plan.authority, plan.timeout)?;
    // Sockets are looked at after every few answers, so that a planned time is never far behind.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(8).build()?;
    LocalSet::new().block_on(&runtime, carry_out(plan, addresses, watch))
}

/// The addresses of `authority` that take a connection.
fn reachable(authority: &str, patience: Duration) -> Result<Vec<SocketAddr>, Unmeasured> {
    let named = authority.to_socket_addrs().map_err(|error| Unmeasured(format!("{authority}: {error}")))?;
    let (mut open, mut last) = (Vec::new(), "has no address".to_owned());
    for address in named {
        match std::net::TcpStream::connect_timeout(&address, patience) {
            Ok(_) => open.push(address),
            Err(error) => last = error.to_string(),
        }
    }
    if open.is_empty() { Err(Unmeasured(format!("{authority}: {last}"))) } else { Ok(open) }
}

async fn carry_out(plan: &Plan, addresses: Vec<SocketAddr>, watch: &Watch) -> Result<Record, Unmeasured> {
    let mut links = Vec::with_capacity(plan.connections);
    for place in 0..plan.connections {
        let mut link = Link::new(plan.protocol, addresses[place % addresses.len()]);
        let opened = tokio::time::timeout(plan.timeout, link.open()).await;
        opened.unwrap_or(Err("no answer")).map_err(|what| {
            Unmeasured(format!("{}: connection {} of {}: {what}", plan.authority, place + 1, plan.connections))
        })?;
        links.push(link);
    }
    let end = plan.warm_up + plan.length;
    let arrivals = match plan.pace {
        Pace::Open(rate) => Some(Arrivals::new(rate, end, plan.seed)),
        Pace::Closed => None,
    };
    let record = Record::new(plan.warm_up, end);
    let pacer = Rc::new(Pacer::new(Instant::now(), arrivals, end, plan.timeout, record));
    let scheduling = pacer.clone().schedule(timer::Timer::new()?);
    let requests: Rc<[link::Prepared]> =
        plan.requests.iter().map(|one| link::prepare(plan, one)).collect::<Result<_, _>>()?;
    let mut workers = JoinSet::new();
    for link in links {
        workers.spawn_local(work(pacer.clone(), link, requests.clone(), plan.timeout));
    }
    let watched = pacer.clone();
    let clocks = async move {
        sleep(watched.until(watched.warm_up())).await;
        watched.start_clock();
        sleep(watched.until(end)).await;
        watched.stop_clock();
    };
    let finished = async {
        let worked = async { while workers.join_next().await.is_some() {} };
        tokio::join!(scheduling, clocks, worked).0
    };
    let told = async {
        while !watch.tell(pacer.snapshot()) {
            sleep(TICK).await;
        }
    };
    tokio::select! {
        scheduled = finished => scheduled?,
        () = told => return Err(Unmeasured("stopped".to_owned())),
    }
    watch.tell(pacer.snapshot());
    Ok(pacer.take_record())
}

/// Sends what `pacer` gives out, one after the other.
async fn work(pacer: Rc<Pacer>, mut link: Link, requests: Rc<[link::Prepared]>, timeout: Duration) {
    let seat = Seat::new();
    while let Some(work) = pacer.next(&seat).await {
        let sent = pacer.now();
        let by = pacer.moment(work.planned + timeout);
        let request = &requests[work.number % requests.len()];
        let exchange = match timeout_at(by.into(), link.exchange(request)).await {
            Ok(exchange) => exchange,
            Err(_) => {
                link.give_up();
                Exchange::Failed("timeout")
            }
        };
        pacer.done(&work, sent, &exchange, link.take_counts());
        if matches!(exchange, Exchange::Failed("refused")) {
            sleep(PAUSE).await;
        }
    }
}
