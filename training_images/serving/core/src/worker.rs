//! A thread with connections: what it has, and what it shares with the others.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::batch::Queue;
use crate::calibrate::Plan;
use crate::call::Call;
use crate::connection::Pace;
use crate::engine::Engine;
use crate::feedback::Feedback;
use crate::histogram::Histograms;
use crate::limits::{Budget, Limits};
use crate::metrics::Metrics;
use crate::payloads::{Payloads, Record};
use crate::refusal::Refusal;
use crate::token::{Ids, Signer};
use crate::traces::Traces;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Where the server is in its life.
#[derive(Default)]
pub struct State(AtomicU8);

const LOADING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl State {
    pub fn become_ready(&self) {
        self.0.store(READY, SeqCst);
    }

    /// Not ready any more, but at work as before.
    pub fn drain(&self) {
        self.0.store(DRAINING, SeqCst);
    }

    pub fn is_draining(&self) -> bool {
        self.0.load(Relaxed) == DRAINING
    }

    pub fn check_ready(&self) -> Result<(), Refusal> {
        match self.0.load(Relaxed) {
            READY => Ok(()),
            LOADING => Err(Refusal::new(503, "loading")),
            _ => Err(Refusal::new(503, "draining")),
        }
    }
}

/// What all threads share.
pub struct Shared {
    pub model: String,
    pub version: String,
    /// Paths of inference, the usual one first.
    pub infer_paths: [String; 2],
    pub engine: Arc<Engine>,
    /// Rows of requests that share a run.
    pub most_rows: usize,
    /// Names of the features in the order of the model's input; empty where nothing names them.
    pub columns: Vec<String>,
    pub histograms: Arc<Histograms>,
    pub metrics: Arc<Metrics>,
    pub signer: Signer,
    pub limits: Limits,
    pub budget: Arc<Budget>,
    pub state: State,
    pub feedback: Feedback,
    pub traces: Option<Traces>,
    pub payloads: Option<Payloads>,
    pub connections: AtomicUsize,
}

/// What a server is made of.
pub struct Parts {
    pub model: String,
    pub version: String,
    pub engine: Arc<Engine>,
    pub plan: Plan,
    pub columns: Vec<String>,
    pub histograms: Histograms,
    pub signer: Signer,
    pub limits: Limits,
    pub told: Told,
}

/// What is told of requests to others, and of which share of them; `None` tells nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// Of those whose callers don't say whether they are traced.
    pub traced: Option<f64>,
    pub logged: Option<f64>,
}

impl Shared {
    pub fn new(parts: Parts) -> Shared {
        let Parts { model, version, engine, plan, columns, histograms, signer, limits, told } = parts;
        let metrics = Arc::<Metrics>::default();
        Shared {
            infer_paths: [format!("/v2/models/{model}/infer"), format!("/v2/models/{model}/versions/{version}/infer")],
            model,
            version,
            engine,
            most_rows: plan.most_rows,
            columns,
            histograms: Arc::new(histograms),
            signer,
            limits,
            budget: Budget::new(limits, metrics.clone()),
            metrics,
            state: State::default(),
            feedback: Feedback::default(),
            traces: told.traced.map(Traces::new),
            payloads: told.logged.map(Payloads::new),
            connections: AtomicUsize::new(0),
        }
    }
}

/// One thread with connections.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub queue: Arc<Queue>,
    pub ids: RefCell<Ids>,
    pub paces: RefCell<Vec<Rc<Pace>>>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, queue: Arc<Queue>) -> Worker {
        Worker { shared, queue, ids: RefCell::default(), paces: RefCell::default() }
    }

    /// A request whose headers are there.
    pub fn call(&self, headers: &HeaderMap) -> Call {
        let traces = self.shared.traces.as_ref();
        Call::new(traces.and_then(|traces| {
            traces.begin(headers.get(TRACEPARENT).map(HeaderValue::as_bytes), &mut self.ids.borrow_mut())
        }))
    }

    /// Counts a request that is over, and tells of it. `body` is none where it did not come whole, and `answer` empty
    /// where it was refused.
    pub fn ended(&self, call: &Call, method: &str, code: u16, body: Option<&Bytes>, answer: &[Bytes]) {
        let shared = &self.shared;
        shared.metrics.request(code, body.map(|_| call.read.get().elapsed()));
        if let Some(traces) = &shared.traces {
            traces.end(call, method, code, &mut self.ids.borrow_mut());
        }
        if let (Some(payloads), Some(request)) = (&shared.payloads, body)
            && payloads.picks(&mut self.ids.borrow_mut())
        {
            let trace = call.context.map(|context| context.trace);
            payloads.add(&Record { method, version: &shared.version, code, trace, request, answer });
        }
    }
}
