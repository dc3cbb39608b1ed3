//! One inference request on its way: when what happened to it.

use std::cell::Cell;
use std::time::Instant;

use crate::traces::Context;

/// The run of the model that answered a request.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub began: Instant,
    pub ended: Instant,
    /// Those that shared it.
    pub requests: usize,
    pub rows: usize,
}

pub struct Call {
    /// Its headers were there.
    pub began: Instant,
    /// All of it was.
    pub read: Cell<Instant>,
    pub run: Cell<Option<Run>>,
    /// In the trace that it belongs to, if it is traced.
    pub context: Option<Context>,
}

impl Call {
    pub fn new(context: Option<Context>) -> Call {
        let now = Instant::now();
        Call { began: now, read: Cell::new(now), run: Cell::new(None), context }
    }
}
