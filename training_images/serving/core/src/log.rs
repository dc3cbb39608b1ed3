//! Lines for the log, in the form of those that Python writes beside them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

pub fn warn(message: &str) {
    eprintln!("{} WARNING modelcycle_core {message}", stamp(seconds()));
}

/// Says `message` at most once a second, however often it happens.
pub struct Seldom(AtomicU64);

impl Seldom {
    pub const fn new() -> Seldom {
        Seldom(AtomicU64::new(0))
    }

    pub fn warn(&self, message: impl FnOnce() -> String) {
        let now = seconds();
        if self.0.swap(now, Relaxed) != now {
            warn(&message());
        }
    }
}

impl Default for Seldom {
    fn default() -> Self {
        Seldom::new()
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Time of the day in UTC; the day itself is Kubernetes' business.
fn stamp(seconds: u64) -> String {
    let day = seconds % 86_400;
    format!("{:02}:{:02}:{:02}", day / 3600, day / 60 % 60, day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp() {
        assert_eq!(stamp(1_221_436_800 + 3_661), "01:01:01");
    }

    #[test]
    fn what_happens_often_is_said_seldom() {
        let (seldom, mut said) = (Seldom::new(), 0);
        for _ in 0..100 {
            seldom.warn(|| {
                said += 1;
                "a test".to_owned()
            });
        }
        assert!(said <= 2);
    }
}
