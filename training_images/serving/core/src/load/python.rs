//! What Python sees of the load generator: `modelcycle_core.pyi` says the same in its types.

use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Pace, Plan, Protocol, Request, Snapshot, Spread, Watch, run};

/// Headers and body of a request.
type Message = (Vec<(String, String)>, Vec<u8>);

/// Puts a server under load; see `modelcycle_core.pyi`.
#[pyfunction]
#[pyo3(signature = (*, authority, grpc, path, requests, connections, rate, warm_up, seconds, timeout, seed, progress))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub fn load<'py>(
    py: Python<'py>,
    authority: String,
    grpc: bool,
    path: String,
    requests: Vec<Message>,
    connections: usize,
    rate: Option<f64>,
    warm_up: f64,
    seconds: f64,
    timeout: f64,
    seed: u64,
    progress: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let length = |name: &str, seconds: f64| {
        Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
    };
    let plan = Plan {
        authority,
        protocol: if grpc { Protocol::Grpc } else { Protocol::Http },
        path,
        requests: requests.into_iter().map(|(headers, body)| Request { headers, body: Bytes::from(body) }).collect(),
        connections,
        pace: rate.map_or(Pace::Closed, Pace::Open),
        warm_up: length("warm_up", warm_up)?,
        length: length("seconds", seconds)?,
        timeout: length("timeout", timeout)?,
        seed,
    };
    if plan.requests.is_empty() || connections == 0 || rate.is_some_and(|rate| !rate.is_normal() || rate < 0.0) {
        return Err(PyValueError::new_err("requests, connections and rate: there has to be one"));
    }
    let watch = Watch::default();
    // On a thread of its own, so that nothing of Python's holds it up.
    let record = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&plan, &watch));
        while !running.is_finished() {
            py.detach(|| std::thread::sleep(LOOK));
            if let Err(error) = py.check_signals().and_then(|()| progress.call1((told(py, &watch.latest())?,))) {
                watch.stop();
                return Err(error);
            }
        }
        let record = running.join().map_err(|_| PyRuntimeError::new_err("the load generator failed"))?;
        record.map_err(|unmeasured| PyConnectionError::new_err(unmeasured.to_string()))
    })?;
    let found = PyDict::new(py);
    found.set_item("planned", record.planned)?;
    found.set_item("good", record.good)?;
    found.set_item("good_in_time", record.good_in_time)?;
    found.set_item("answers", &record.answers)?;
    found.set_item("failures", &record.failures)?;
    found.set_item("latency_us", spread(py, record.latency())?)?;
    found.set_item("lag_us", spread(py, record.lag())?)?;
    found.set_item("cpu", record.cpu)?;
    found.set_item("starved", record.starved)?;
    found.set_item("reopened", record.reopened)?;
    found.set_item("resent", record.resent)?;
    Ok(found)
}

/// Between two looks at a load.
const LOOK: Duration = Duration::from_millis(100);

fn told<'py>(py: Python<'py>, snapshot: &Snapshot) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    found.set_item("seconds", snapshot.seconds)?;
    found.set_item("planned", snapshot.planned)?;
    found.set_item("good", snapshot.good)?;
    found.set_item("failed", snapshot.failed)?;
    found.set_item("p50", snapshot.p50)?;
    found.set_item("p99", snapshot.p99)?;
    Ok(found)
}

fn spread<'py>(py: Python<'py>, spread: Option<Spread>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(spread) = spread else { return Ok(None) };
    let found = PyDict::new(py);
    found.set_item("mean", spread.mean)?;
    for (name, value) in &spread.percentiles {
        found.set_item(name, value)?;
    }
    found.set_item("max", spread.max)?;
    Ok(Some(found))
}
