//! What is counted of requests. Python reads it when Prometheus asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bounds of the histograms of seconds.
pub const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of the histogram of rows in a run.
pub const ROWS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
const FIRST_CODE: usize = 100;
const CODES: usize = 500;

/// Why a request was turned away, or left before it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The queue was full.
    Full,
    /// There was no memory for its body.
    Memory,
    /// Its time was over before it was its turn.
    Late,
    /// The client went away.
    Cancelled,
}

impl Reason {
    pub const ALL: [Reason; 4] = [Reason::Full, Reason::Memory, Reason::Late, Reason::Cancelled];

    pub fn name(self) -> &'static str {
        match self {
            Reason::Full => "full",
            Reason::Memory => "memory",
            Reason::Late => "late",
            Reason::Cancelled => "cancelled",
        }
    }
}

pub struct Metrics {
    codes: Vec<AtomicU64>,
    rejected: [AtomicU64; Reason::ALL.len()],
    in_flight: AtomicU64,
    /// From a request's last byte to its answer.
    pub seconds: Distribution,
    /// From there to the run that it was a part of.
    pub queue_seconds: Distribution,
    pub batch_rows: Distribution,
    /// The requests of `seconds` by how they ended.
    pub succeeded: Sum,
    pub failed: Sum,
    /// Runs of the model, for each request that shared one.
    pub computed: Sum,
    /// Milliseconds since 1970.
    last_inference: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            codes: (0..CODES).map(|_| AtomicU64::new(0)).collect(),
            rejected: Default::default(),
            in_flight: AtomicU64::new(0),
            seconds: Distribution::new(&SECONDS),
            queue_seconds: Distribution::new(&SECONDS),
            batch_rows: Distribution::new(&ROWS),
            succeeded: Sum::default(),
            failed: Sum::default(),
            computed: Sum::default(),
            last_inference: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts an inference request; one whose body never came took no time.
    pub fn request(&self, code: u16, took: Option<Duration>) {
        if let Some(count) = self.codes.get(usize::from(code).wrapping_sub(FIRST_CODE)) {
            count.fetch_add(1, Relaxed);
        }
        if let Some(took) = took {
            self.seconds.add(took.as_secs_f64());
            let ended = if code == 200 { &self.succeeded } else { &self.failed };
            ended.add(1, took);
        }
    }

    /// Counts a run of the model for so many requests with so many rows together.
    pub fn ran(&self, requests: usize, rows: usize, took: Duration) {
        self.batch_rows.add(rows as f64);
        self.computed.add(requests as u64, took);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_inference.store(now.as_millis() as u64, Relaxed);
    }

    pub fn last_inference(&self) -> u64 {
        self.last_inference.load(Relaxed)
    }

    /// Counts a request that is under way, until what this gives is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.clone())
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    pub fn reject(&self, reason: Reason) {
        self.rejected[reason as usize].fetch_add(1, Relaxed);
    }

    /// Status codes that were answered, and how often.
    pub fn codes(&self) -> Vec<(u16, u64)> {
        let counts = self.codes.iter().map(|count| count.load(Relaxed));
        let all = (FIRST_CODE as u16..).zip(counts);
        all.filter(|(_, count)| *count > 0).collect()
    }

    pub fn rejected(&self) -> Vec<(&'static str, u64)> {
        Reason::ALL.iter().map(|reason| (reason.name(), self.rejected[*reason as usize].load(Relaxed))).collect()
    }
}

/// An inference request under way, from its headers to its answer.
pub struct InFlight(Arc<Metrics>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// How often something was done, and the time that it took altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub count: u64,
    pub nanos: u64,
}

/// A [`Spent`] that several threads add to.
#[derive(Default)]
pub struct Sum {
    count: AtomicU64,
    nanos: AtomicU64,
}

impl Sum {
    /// Adds so many that took so long each.
    pub fn add(&self, count: u64, took: Duration) {
        self.count.fetch_add(count, Relaxed);
        self.nanos.fetch_add(count * took.as_nanos() as u64, Relaxed);
    }

    pub fn get(&self) -> Spent {
        Spent { count: self.count.load(Relaxed), nanos: self.nanos.load(Relaxed) }
    }
}

/// A histogram with fixed bounds, as Prometheus has them.
pub struct Distribution {
    bounds: &'static [f64],
    /// By the first bound that is no less, and one more for what is beyond all.
    counts: Vec<AtomicU64>,
    /// In billionths, so that it can be added to from several threads.
    sum: AtomicU64,
}

impl Distribution {
    fn new(bounds: &'static [f64]) -> Distribution {
        Distribution { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    pub fn add(&self, value: f64) {
        self.counts[self.bounds.partition_point(|bound| *bound < value)].fetch_add(1, Relaxed);
        self.sum.fetch_add((value * 1e9).round() as u64, Relaxed);
    }

    /// How many values there were, and their sum in billionths.
    pub fn total(&self) -> Spent {
        let count = self.counts.iter().map(|count| count.load(Relaxed)).sum();
        Spent { count, nanos: self.sum.load(Relaxed) }
    }

    /// Bounds with the counts up to each, the last of them infinite; and the sum.
    pub fn cumulative(&self) -> (Vec<(f64, u64)>, f64) {
        let mut total = 0;
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = bounds.zip(&self.counts).map(|(bound, count)| {
            total += count.load(Relaxed);
            (bound, total)
        });
        (counts.collect(), self.sum.load(Relaxed) as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_up_to_each_bound() {
        let found = Distribution::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 3.0] {
            found.add(value);
        }
        assert_eq!(found.cumulative(), (vec![(1.0, 2), (2.0, 3), (f64::INFINITY, 4)], 6.0));
    }

    #[test]
    fn requests_are_counted_by_code() {
        let metrics = Metrics::default();
        metrics.request(200, Some(Duration::from_millis(1)));
        metrics.request(200, None);
        metrics.request(413, None);
        metrics.request(7, None);
        assert_eq!(metrics.codes(), [(200, 2), (413, 1)]);
        assert_eq!(metrics.seconds.cumulative().0.last(), Some(&(f64::INFINITY, 1)));
    }

    #[test]
    fn requests_are_in_flight_until_they_end() {
        let metrics = Arc::new(Metrics::default());
        let both = (metrics.begin(), metrics.begin());
        assert_eq!(metrics.in_flight(), 2);
        drop(both);
        assert_eq!(metrics.in_flight(), 0);
    }

    #[test]
    fn every_reason_is_there_from_the_start() {
        let metrics = Metrics::default();
        metrics.reject(Reason::Late);
        assert_eq!(metrics.rejected(), [("full", 0), ("memory", 0), ("late", 1), ("cancelled", 0)]);
    }
}
