//! How much a client may take: bytes, requests, time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::metrics::{Metrics, Reason};
use crate::refusal::Refusal;

/// A request has to be there whole within this time of a new connection, and its body of its headers.
pub const REQUEST: Duration = Duration::from_secs(20);
/// For the next request on an old connection. Longer than the 60 s after which load balancers drop an idle one, so that
/// it is never ours that ends first.
pub const IDLE: Duration = Duration::from_secs(75);
/// For the client to take some bytes of its answer.
pub const SEND: Duration = Duration::from_secs(30);
/// For the client to hear a refusal before it has sent all.
pub const LINGER: Duration = Duration::from_secs(2);
pub const HEADER_BYTES: usize = 16 * 1024;
pub const CONNECTIONS: usize = 8192;
/// Requests that wait for the model.
pub const QUEUE: usize = 1024;
/// What all requests together may take, in bodies of the greatest size.
const BODIES: usize = 16;
/// What a text takes beside its bytes on its way to the model: here, as a C string, and as the runtime's own.
pub const TEXT: usize = 128;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes: usize,
    pub requests_per_connection: u32,
}

/// The memory that requests may take together: their bodies, and what is made of them.
pub struct Budget {
    held: AtomicUsize,
    most: usize,
    metrics: Arc<Metrics>,
}

impl Budget {
    pub fn new(limits: Limits, metrics: Arc<Metrics>) -> Arc<Budget> {
        Arc::new(Budget { held: AtomicUsize::new(0), most: limits.body_bytes.saturating_mul(BODIES), metrics })
    }
}

/// What one request holds of the budget, until it is dropped.
pub struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    pub fn nothing(budget: &Arc<Budget>) -> Held {
        Held { budget: budget.clone(), bytes: 0 }
    }

    /// Takes more, or refuses: when this alone is too much, or others hold too much.
    pub fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        let before = self.budget.held.fetch_add(bytes, Relaxed);
        if self.bytes > self.budget.most {
            let most = self.budget.most;
            return Err(Refusal::new(
                413,
                format!("body: takes {} bytes of memory, at most {most} are lent", self.bytes),
            ));
        }
        if before.saturating_add(bytes) > self.budget.most {
            self.budget.metrics.reject(Reason::Memory);
            return Err(Refusal::new(503, "body: the requests in flight take all the memory there is for them"));
        }
        Ok(())
    }

    /// Of a budget that is large enough for any test.
    #[cfg(test)]
    pub fn plenty() -> Held {
        let limits = Limits { body_bytes: 1 << 40, requests_per_connection: 1 };
        Held::nothing(&Budget::new(limits, Arc::default()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_share_a_budget() {
        let metrics = Arc::<Metrics>::default();
        let budget = Budget::new(Limits { body_bytes: 10, requests_per_connection: 1 }, metrics.clone());
        let mut first = Held::nothing(&budget);
        assert!(first.add(160).is_ok());
        let mut second = Held::nothing(&budget);
        assert_eq!(second.add(1).map_err(|refusal| refusal.status), Err(503));
        assert!(metrics.rejected().contains(&("memory", 1)));
        assert_eq!(first.add(1).map_err(|refusal| refusal.status), Err(413), "it will never fit");
        drop((first, second));
        assert!(Held::nothing(&budget).add(160).is_ok());
    }
}
