//! What is counted of a load.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

use super::link::{Counts, Exchange};

/// Digits that a latency keeps.
const DIGITS: u8 = 3;
/// An hour, in nanoseconds: what is longer counts as that.
const LONGEST: u64 = 3_600_000_000_000;

/// Of one request: when it was planned, how late it was sent through the generator's own fault, and when it was over.
pub struct Outcome {
    pub planned: Duration,
    pub lag: Duration,
    pub now: Duration,
}

/// Requests that were planned between `begin` and the end.
pub struct Record {
    pub begin: Duration,
    end: Duration,
    pub planned: u64,
    /// Good answers that came between begin and end, whenever they were planned.
    pub good_in_time: u64,
    pub good: u64,
    /// By status of HTTP, or code of gRPC.
    pub answers: BTreeMap<u16, u64>,
    /// Those without an answer, by what happened.
    pub failures: BTreeMap<&'static str, u64>,
    /// From the planned time: of good answers, and of timeouts what was waited for them.
    latency: Histogram<u64>,
    lag: Histogram<u64>,
    pub reopened: u64,
    pub resent: u64,
    clock: Option<(Duration, Used)>,
    /// The shares of the time between begin and end in which this thread used a CPU, and in which it waited for one.
    pub cpu: Option<f64>,
    pub starved: Option<f64>,
}

/// How it goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub seconds: f64,
    pub planned: u64,
    pub good: u64,
    pub failed: u64,
    /// In microseconds; not a number before there is one.
    pub p50: f64,
    pub p99: f64,
}

/// A distribution, in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    pub mean: f64,
    pub percentiles: Vec<(&'static str, f64)>,
    pub max: f64,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, DIGITS).unwrap_or_else(|_| unreachable!("the bounds are allowed"))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

impl Record {
    pub fn new(begin: Duration, end: Duration) -> Record {
        Record {
            begin,
            end,
            planned: 0,
            good_in_time: 0,
            good: 0,
            answers: BTreeMap::new(),
            failures: BTreeMap::new(),
            latency: histogram(),
            lag: histogram(),
            reopened: 0,
            resent: 0,
            clock: None,
            cpu: None,
            starved: None,
        }
    }

    pub fn add(&mut self, outcome: &Outcome, exchange: &Exchange, counts: Counts) {
        let is_good = matches!(exchange, Exchange::Answer { is_good: true, .. });
        if is_good && (self.begin..self.end).contains(&outcome.now) {
            self.good_in_time += 1;
        }
        if outcome.planned < self.begin {
            return;
        }
        self.planned += 1;
        self.reopened += u64::from(counts.reopened);
        self.resent += u64::from(counts.resent);
        match exchange {
            Exchange::Answer { code, .. } => *self.answers.entry(*code).or_default() += 1,
            Exchange::Failed(what) => *self.failures.entry(what).or_default() += 1,
        }
        if is_good || matches!(exchange, Exchange::Failed("timeout")) {
            self.latency.saturating_record(nanoseconds(outcome.now.saturating_sub(outcome.planned)));
        }
        self.good += u64::from(is_good);
        self.lag.saturating_record(nanoseconds(outcome.lag));
    }

    pub fn start_clock(&mut self, now: Duration) {
        self.clock = Some((now, Used::until_now()));
    }

    pub fn stop_clock(&mut self, now: Duration) {
        if let Some((then, before)) = self.clock {
            let after = Used::until_now();
            let length = now.saturating_sub(then).as_secs_f64().max(1e-9);
            let share = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() / length;
            self.cpu = Some(share(before.cpu, after.cpu));
            self.starved = before.waited.zip(after.waited).map(|(from, to)| share(from, to));
        }
    }

    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let at = |share| {
            if self.latency.is_empty() { f64::NAN } else { microseconds(self.latency.value_at_quantile(share)) }
        };
        Snapshot {
            seconds: now.as_secs_f64(),
            planned: self.planned,
            good: self.good,
            failed: self.planned - self.good,
            p50: at(0.5),
            p99: at(0.99),
        }
    }

    pub fn latency(&self) -> Option<Spread> {
        spread(&self.latency)
    }

    pub fn lag(&self) -> Option<Spread> {
        spread(&self.lag)
    }
}

/// None of nothing.
fn spread(histogram: &Histogram<u64>) -> Option<Spread> {
    const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
    (!histogram.is_empty()).then(|| Spread {
        mean: histogram.mean() / 1e3,
        percentiles: SHARES.map(|(name, share)| (name, microseconds(histogram.value_at_quantile(share)))).to_vec(),
        max: microseconds(histogram.max()),
    })
}

/// What this thread has used of CPUs, and how long it waited for one that others had.
#[derive(Clone, Copy)]
struct Used {
    cpu: Duration,
    /// None where the kernel does not say.
    waited: Option<Duration>,
}

impl Used {
    fn until_now() -> Used {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let cpu = Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
        let waited = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        Used { cpu, waited: waited.and_then(|text| waited_in(&text)) }
    }
}

/// Of the kernel's line: nanoseconds on a CPU, nanoseconds that it waited for one, turns.
fn waited_in(schedstat: &str) -> Option<Duration> {
    schedstat.split_ascii_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Exchange = Exchange::Answer { code: 200, is_good: true };

    fn at(planned: u64, now: u64) -> Outcome {
        let time = Duration::from_millis;
        Outcome { planned: time(planned), lag: Duration::ZERO, now: time(now) }
    }

    #[test]
    fn what_is_counted() {
        let mut record = Record::new(Duration::from_secs(1), Duration::from_secs(3));
        record.add(&at(900, 950), &GOOD, Counts { reopened: 1, resent: 1 });
        record.add(&at(950, 1050), &GOOD, Counts::default());
        assert_eq!((record.planned, record.good_in_time, record.reopened), (0, 1, 0), "planned in the warm-up");
        record.add(&at(1000, 1002), &GOOD, Counts { reopened: 1, resent: 0 });
        record.add(&at(2000, 3004), &GOOD, Counts::default());
        record.add(&at(2000, 2001), &Exchange::Answer { code: 503, is_good: false }, Counts::default());
        record.add(&at(2000, 2500), &Exchange::Failed("timeout"), Counts::default());
        record.add(&at(2000, 2001), &Exchange::Failed("lost"), Counts { reopened: 0, resent: 1 });
        assert_eq!((record.planned, record.good, record.good_in_time), (5, 2, 2));
        assert_eq!(record.answers, BTreeMap::from([(200, 2), (503, 1)]));
        assert_eq!(record.failures, BTreeMap::from([("timeout", 1), ("lost", 1)]));
        assert_eq!((record.reopened, record.resent), (1, 1));
        // A quick refusal makes no server fast, and a timeout none.
        let latency = record.latency().unwrap();
        let close = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.001;
        assert!(close(latency.max, 1_004_000.0) && close(latency.mean, (2_000.0 + 1_004_000.0 + 500_000.0) / 3.0));
        assert!(close(latency.percentiles[0].1, 500_000.0), "{latency:?}");
    }

    #[test]
    fn what_the_kernel_says_of_a_thread() {
        assert_eq!(waited_in("5000 70 9\n"), Some(Duration::from_nanos(70)));
        assert_eq!(waited_in(""), None);
        let (before, started) = (Used::until_now(), std::time::Instant::now());
        while started.elapsed() < Duration::from_millis(20) {}
        assert!(Used::until_now().cpu > before.cpu);
    }

    #[test]
    fn nothing_has_no_latency() {
        assert_eq!(Record::new(Duration::ZERO, Duration::ZERO).latency(), None);
    }
}
