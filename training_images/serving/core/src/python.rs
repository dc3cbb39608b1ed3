//! What Python sees of the core: `modelcycle_core.pyi` says the same in its types.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::calibrate::{self, calibrate, made_up, throughput};
use crate::engine::{self, Failure, Provider};
use crate::feedback::Reply;
use crate::histogram::{Column, Histograms};
use crate::limits::Limits;
use crate::server;
use crate::tensor::{Data, Datatype, Dim, Spec, Tensor};
use crate::token::Signer;
use crate::traces;
use crate::worker::{Parts, Shared, Told};

fn error(failure: Failure) -> PyErr {
    PyRuntimeError::new_err(failure.message)
}

/// A tensor's datatype, shape, and bytes; or a list of bytes where it has texts.
type Sent<'py> = (String, Vec<i64>, Bound<'py, PyAny>);

fn tensor(sent: &Sent<'_>) -> PyResult<Tensor> {
    let (name, shape, data) = sent;
    let datatype = Datatype::named(name).ok_or_else(|| PyValueError::new_err(format!("no datatype {name}")))?;
    let data = match datatype {
        Datatype::Bytes => Data::Texts(data.extract::<Vec<Vec<u8>>>()?.into_iter().map(Bytes::from).collect()),
        _ => Data::Fixed(Bytes::copy_from_slice(data.cast::<PyBytes>()?.as_bytes())),
    };
    Ok(Tensor { datatype, shape: shape.clone(), data })
}

/// A loaded model.
#[pyclass(frozen, module = "modelcycle_core")]
struct Engine {
    inner: Arc<engine::Engine>,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(
        py: Python<'_>,
        library: PathBuf,
        model: PathBuf,
        threads: usize,
        providers: Vec<(String, Vec<(String, String)>)>,
    ) -> PyResult<Engine> {
        let providers: Vec<Provider> =
            providers.into_iter().map(|(name, options)| Provider { name, options }).collect();
        let loaded = py.detach(|| engine::Engine::load(&library, &model, threads, &providers)).map_err(error)?;
        Ok(Engine { inner: Arc::new(loaded) })
    }

    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        specs(py, &self.inner.inputs)
    }

    fn outputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        specs(py, &self.inner.outputs)
    }

    /// Answers, one for each output; the inputs in the order of the model's.
    fn run<'py>(&self, py: Python<'py>, inputs: Vec<Sent<'py>>) -> PyResult<Bound<'py, PyList>> {
        if inputs.len() != self.inner.inputs.len() {
            return Err(PyValueError::new_err("one tensor for each input"));
        }
        let inputs = inputs.iter().map(tensor).collect::<PyResult<Vec<_>>>()?;
        let outputs = py.detach(|| self.inner.run(&inputs)).map_err(error)?;
        let found = PyList::empty(py);
        for output in &outputs {
            let data = match &output.data {
                Data::Fixed(raw) => PyBytes::new(py, raw).into_any(),
                Data::Texts(texts) => PyList::new(py, texts.iter().map(|text| PyBytes::new(py, text)))?.into_any(),
            };
            found.append((output.datatype.name(), &output.shape, data))?;
        }
        Ok(found)
    }

    /// Warms the model up. `sample` has recorded rows, or is None.
    fn calibrate(&self, py: Python<'_>, sample: Option<Vec<Sent<'_>>>) -> PyResult<Plan> {
        let sample = self.sample(sample)?;
        let plan = py.detach(|| calibrate(&self.inner, &sample)).map_err(error)?;
        Ok(Plan { most_rows: plan.most_rows, is_short: plan.is_short })
    }

    /// Rows a second of so many runners with batches of `rows` each.
    fn throughput(&self, py: Python<'_>, sample: Option<Vec<Sent<'_>>>, rows: usize, runners: usize) -> PyResult<f64> {
        let sample = self.sample(sample)?;
        py.detach(|| throughput(&self.inner, &sample, rows, runners)).map_err(error)
    }
}

impl Engine {
    fn sample(&self, sent: Option<Vec<Sent<'_>>>) -> PyResult<Vec<Tensor>> {
        match sent {
            Some(sent) => sent.iter().map(tensor).collect(),
            None => Ok(made_up(&self.inner)),
        }
    }
}

/// Names of the execution providers that ONNX Runtime's `library` was built with.
#[pyfunction]
fn available_providers(py: Python<'_>, library: PathBuf) -> PyResult<Vec<String>> {
    py.detach(|| engine::available(&library)).map_err(error)
}

/// How a model is best run.
#[pyclass(frozen, get_all, module = "modelcycle_core")]
struct Plan {
    most_rows: usize,
    is_short: bool,
}

#[pymethods]
impl Plan {
    fn __repr__(&self) -> String {
        let how = if self.is_short { "on the threads of the connections" } else { "on threads of its own" };
        format!("batches of at most {} rows, run {how}", self.most_rows)
    }
}

/// Name, datatype and sizes: a number, the name of one that varies, or None.
fn specs<'py>(py: Python<'py>, specs: &[Spec]) -> PyResult<Bound<'py, PyList>> {
    let found = PyList::empty(py);
    for spec in specs {
        let sizes = PyList::empty(py);
        for dim in &spec.dims {
            match dim {
                Dim::Fixed(size) => sizes.append(size)?,
                Dim::Named(name) => sizes.append(name)?,
                Dim::Free => sizes.append(py.None())?,
            }
        }
        found.append((&spec.name, spec.datatype.name(), sizes))?;
    }
    Ok(found)
}

/// The bounds of a histogram with the counts up to each, and the sum.
type Cumulative = (Vec<(f64, u64)>, f64);

/// What is told of requests, and of how many.
type Records<'py> = (Bound<'py, PyBytes>, usize);

/// A server of one version of one model.
#[pyclass(frozen, module = "modelcycle_core")]
struct Server {
    inner: server::Server,
}

#[pymethods]
impl Server {
    /// Listens. `plan` is what calibrating gave; `columns` name the features of the one input, if anything does; `features` are name, edges, and whether it was null at training,
    /// `predictions` the place of an output and its edges; `traced` and `logged` the shares of requests that are told of.
    #[new]
    #[pyo3(signature = (engine, plan, *, model, version, key, port, workers, runners, max_body_bytes, max_requests_per_connection, columns, features, predictions, traced, logged))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn new(
        py: Python<'_>,
        engine: &Engine,
        plan: &Plan,
        model: String,
        version: u32,
        key: &[u8],
        port: u16,
        workers: usize,
        runners: usize,
        max_body_bytes: usize,
        max_requests_per_connection: u32,
        columns: Vec<String>,
        features: Vec<(String, Vec<f64>, bool)>,
        predictions: Vec<(usize, Vec<f64>)>,
        traced: Option<f64>,
        logged: Option<f64>,
    ) -> PyResult<Server> {
        let signer = Signer::new(key, version).ok_or_else(|| PyValueError::new_err("the key can't be used"))?;
        let features = features.into_iter().map(|(name, edges, was_null)| Column { name, edges, was_null }).collect();
        let plan = calibrate::Plan { most_rows: plan.most_rows, is_short: plan.is_short };
        let engine = engine.inner.clone();
        py.detach(|| {
            let shared = Shared::new(Parts {
                model,
                version: version.to_string(),
                engine,
                plan,
                columns,
                histograms: Histograms::new(features, predictions),
                signer,
                limits: Limits { body_bytes: max_body_bytes, requests_per_connection: max_requests_per_connection },
                told: Told { traced, logged },
            });
            let inner = server::Server::start(shared, plan, port, workers, runners)
                .map_err(|error| PyOSError::new_err(format!("port {port}: {error}")))?;
            inner.shared.state.become_ready();
            Ok(Server { inner })
        })
    }

    #[getter]
    fn port(&self) -> u16 {
        self.inner.port
    }

    /// Not ready any more, but at work as before.
    fn drain(&self) {
        self.inner.shared.state.drain();
    }

    /// Ends when the last request is answered.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.inner.close());
    }

    /// The next feedback, waited for; None once the server is closed.
    fn next_feedback(&self, py: Python<'_>) -> Option<Feedback> {
        let asked = py.detach(|| self.inner.shared.feedback.next())?;
        Some(Feedback { body: asked.body, handed_over: asked.handed_over, reply: Mutex::new(Some(asked.reply)) })
    }

    /// What there is to tell an OTLP receiver, waited for so long; None once no more is to come.
    fn next_spans<'py>(&self, py: Python<'py>, seconds: f64, resource: Vec<(String, String)>) -> Option<Records<'py>> {
        let traces = self.inner.shared.traces.as_ref()?;
        let records = py.detach(|| traces.outbox.take(Duration::from_secs_f64(seconds)))?;
        let request = if records.is_empty() { Vec::new() } else { traces::request(&resource, &records) };
        Some((PyBytes::new(py, &request), records.len()))
    }

    /// Lines for the log of requests, waited for so long; None once no more is to come.
    fn next_payloads<'py>(&self, py: Python<'py>, seconds: f64) -> Option<Records<'py>> {
        let payloads = self.inner.shared.payloads.as_ref()?;
        let records = py.detach(|| payloads.outbox.take(Duration::from_secs_f64(seconds)))?;
        Some((PyBytes::new(py, &records.concat()), records.len()))
    }

    /// Requests whose spans were kept, and dropped.
    fn traced(&self) -> (u64, u64) {
        self.inner.shared.traces.as_ref().map_or((0, 0), |traces| traces.outbox.counts())
    }

    /// Requests whose lines were kept, and dropped.
    fn logged(&self) -> (u64, u64) {
        self.inner.shared.payloads.as_ref().map_or((0, 0), |payloads| payloads.outbox.counts())
    }

    /// Inference requests by status code.
    fn requests(&self) -> Vec<(u16, u64)> {
        self.inner.shared.metrics.codes()
    }

    fn in_flight(&self) -> u64 {
        self.inner.shared.metrics.in_flight()
    }

    fn rejected(&self) -> Vec<(&'static str, u64)> {
        self.inner.shared.metrics.rejected()
    }

    fn request_seconds(&self) -> Cumulative {
        self.inner.shared.metrics.seconds.cumulative()
    }

    fn queue_seconds(&self) -> Cumulative {
        self.inner.shared.metrics.queue_seconds.cumulative()
    }

    fn batch_rows(&self) -> Cumulative {
        self.inner.shared.metrics.batch_rows.cumulative()
    }

    fn feature_bins(&self) -> Vec<Vec<u64>> {
        self.inner.shared.histograms.feature_bins()
    }

    fn prediction_bins(&self) -> Vec<Vec<u64>> {
        self.inner.shared.histograms.prediction_bins()
    }
}

/// The body of feedback that waits for its answer.
#[pyclass(frozen, module = "modelcycle_core")]
struct Feedback {
    body: Vec<u8>,
    #[pyo3(get)]
    handed_over: bool,
    reply: Mutex<Option<Reply>>,
}

#[pymethods]
impl Feedback {
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.body)
    }

    fn answer(&self, status: u16, body: Vec<u8>) {
        if let Some(reply) = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = reply.send((status, body));
        }
    }
}

#[pymodule]
fn modelcycle_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()?;
    module.add_class::<Plan>()?;
    module.add_class::<Server>()?;
    module.add_class::<Feedback>()?;
    module.add_function(wrap_pyfunction!(crate::load::python::load, module)?)?;
    module.add_function(wrap_pyfunction!(available_providers, module)?)?;
    Ok(())
}
