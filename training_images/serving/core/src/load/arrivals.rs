//! When requests are to be sent.

use std::time::Duration;

/// A Poisson process: gaps are exponential and know nothing of each other, as those of many clients are.
pub struct Arrivals {
    chance: fastrand::Rng,
    /// Requests a second.
    rate: f64,
    /// In seconds, as the sum of gaps of nanoseconds would drift.
    next: f64,
    end: f64,
}

impl Arrivals {
    /// Up to `end`, from a start at 0. The same seed gives the same times.
    pub fn new(rate: f64, end: Duration, seed: u64) -> Arrivals {
        let mut arrivals = Arrivals { chance: fastrand::Rng::with_seed(seed), rate, next: 0.0, end: end.as_secs_f64() };
        arrivals.advance();
        arrivals
    }

    /// The next time; `None` at the end.
    pub fn peek(&self) -> Option<Duration> {
        (self.next < self.end).then(|| Duration::from_secs_f64(self.next))
    }

    pub fn advance(&mut self) {
        // 1 - u is never 0, whose logarithm there is none of.
        self.next -= (1.0 - self.chance.f64()).ln() / self.rate;
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let next = self.peek()?;
        self.advance();
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(rate: f64, seconds: u64, seed: u64) -> Vec<f64> {
        let times: Vec<f64> =
            Arrivals::new(rate, Duration::from_secs(seconds), seed).map(|time| time.as_secs_f64()).collect();
        times.windows(2).map(|two| two[1] - two[0]).collect()
    }

    #[test]
    fn gaps_are_exponential() {
        let gaps = gaps(1000.0, 100, 7);
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        assert!((count / 100_000.0 - 1.0).abs() < 0.02, "{count}");
        assert!((mean * 1000.0 - 1.0).abs() < 0.02, "{mean}");
        // Mean and deviation of an exponential distribution are the same.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03, "{variance}");
        for (share, times_mean) in [(0.5, 0.693), (0.9, 2.303), (0.99, 4.605)] {
            let below = gaps.iter().filter(|gap| **gap < times_mean / 1000.0).count() as f64 / count;
            assert!((below - share).abs() < 0.01, "{share}: {below}");
        }
        // A gap knows nothing of the one before it.
        let pairs = gaps.windows(2).map(|two| (two[0] - mean) * (two[1] - mean)).sum::<f64>() / count;
        assert!((pairs / variance).abs() < 0.02, "{pairs}");
    }

    #[test]
    fn a_seed_gives_the_same_times() {
        assert_eq!(gaps(100.0, 1, 1), gaps(100.0, 1, 1));
        assert_ne!(gaps(100.0, 1, 1), gaps(100.0, 1, 2));
    }

    #[test]
    fn they_end() {
        let end = Duration::from_secs(3);
        assert!(Arrivals::new(50.0, end, 1).all(|time| time < end));
        assert_eq!(Arrivals::new(1e-9, end, 1).peek(), None);
    }
}
