//! What is told to others later, by a thread of Python's: nobody waits for it, and what finds no room is dropped and
//! counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a record takes beside its bytes.
const RECORD: usize = 64;

pub struct Outbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    most_bytes: usize,
    kept: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    records: Vec<Vec<u8>>,
    bytes: usize,
    closed: bool,
}

impl Outbox {
    /// With room for so many bytes.
    pub fn new(most_bytes: usize) -> Outbox {
        Outbox {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            most_bytes,
            kept: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, record: Vec<u8>) {
        let mut waiting = self.waiting();
        if waiting.closed || waiting.bytes + record.len() + RECORD > self.most_bytes {
            self.drop_one();
            return;
        }
        waiting.bytes += record.len() + RECORD;
        waiting.records.push(record);
        self.kept.fetch_add(1, Relaxed);
        let is_much = waiting.bytes > self.most_bytes / 4;
        drop(waiting);
        if is_much {
            self.arrived.notify_one();
        }
    }

    /// Counts a record that was not even made.
    pub fn drop_one(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// What has come within `wait`, or sooner when it is much; `None` when no more is to come.
    pub fn take(&self, wait: Duration) -> Option<Vec<Vec<u8>>> {
        let enough = |waiting: &mut Waiting| !waiting.closed && waiting.bytes <= self.most_bytes / 4;
        let found = self.arrived.wait_timeout_while(self.waiting(), wait, enough);
        let (mut waiting, _) = found.unwrap_or_else(PoisonError::into_inner);
        let records = std::mem::take(&mut waiting.records);
        waiting.bytes = 0;
        (!waiting.closed || !records.is_empty()).then_some(records)
    }

    pub fn close(&self) {
        self.waiting().closed = true;
        self.arrived.notify_all();
    }

    /// Records that were kept, and dropped.
    pub fn counts(&self) -> (u64, u64) {
        (self.kept.load(Relaxed), self.dropped.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let outbox = Outbox::new(3 * (RECORD + 1));
        for record in 0..5 {
            outbox.push(vec![record]);
        }
        assert_eq!(outbox.counts(), (3, 2));
        assert_eq!(outbox.take(Duration::ZERO), Some(vec![vec![0], vec![1], vec![2]]));
        outbox.push(vec![5]);
        assert_eq!(outbox.counts(), (4, 2), "there is room again");
    }

    #[test]
    fn what_came_before_the_end_is_taken() {
        let outbox = Outbox::new(1000);
        assert_eq!(outbox.take(Duration::ZERO), Some(vec![]));
        outbox.push(vec![1]);
        outbox.close();
        outbox.push(vec![2]);
        assert_eq!(outbox.take(Duration::from_secs(60)), Some(vec![vec![1]]));
        assert_eq!(outbox.take(Duration::from_secs(60)), None);
        assert_eq!(outbox.counts(), (1, 1));
    }
}
