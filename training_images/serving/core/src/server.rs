//! The server's threads: each has its connections, and either runs the model itself or has it run by threads of its own.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::batch::{Queue, Runner};
use crate::calibrate::Plan;
use crate::call::Call;
use crate::connection::{Pace, Socket, is_http2};
use crate::engine::Engine;
use crate::feedback::Feedback;
use crate::histogram::Histograms;
use crate::http;
use crate::limits::{Budget, CONNECTIONS, HEADER_BYTES, Limits, QUEUE, REQUEST};
use crate::metrics::Metrics;
use crate::payloads::{Payloads, Record};
use crate::refusal::Refusal;
use crate::token::{Ids, Signer};
use crate::traces::Traces;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const BACKLOG: i32 = 1024;
/// How often the connections are looked at for those that are late.
const REAP: Duration = Duration::from_millis(500);
/// The same for whether there are any left.
const REAP_CLOSING: Duration = Duration::from_millis(20);
/// After an accept that failed, as it does when there are too many files open.
const BREATH: Duration = Duration::from_millis(50);
const STREAMS: u32 = 256;
const WINDOW: u32 = 1 << 20;
const PING: Duration = Duration::from_secs(30);

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
    connections: AtomicUsize,
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
    paces: RefCell<Vec<Rc<Pace>>>,
}

impl Worker {
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

/// A server whose threads run until [`Server::close`].
pub struct Server {
    pub shared: Arc<Shared>,
    pub port: u16,
    closing: watch::Sender<bool>,
    queues: Vec<Arc<Queue>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Server {
    /// Listens on `port`, with `workers` threads for connections, and `runners` for a model that has threads of its own.
    pub fn start(shared: Shared, plan: Plan, port: u16, workers: usize, runners: usize) -> io::Result<Server> {
        let shared = Arc::new(shared);
        let listener = listen(port)?;
        let port = listener.local_addr()?.port();
        let (closing, closed) = watch::channel(false);
        let runner = Arc::new(Runner::new(
            shared.engine.clone(),
            shared.histograms.clone(),
            shared.metrics.clone(),
            plan.most_rows,
        ));
        let mut threads = Vec::new();
        let mut queues = Vec::new();
        let common = (!plan.is_short).then(|| Arc::new(Queue::new(QUEUE)));
        if let Some(queue) = common.clone() {
            queues.push(queue.clone());
            for _ in 0..runners.max(1) {
                let (queue, runner) = (queue.clone(), runner.clone());
                threads.push(spawn("model", move || {
                    while let Some(picked) = queue.wait(runner.most_rows()) {
                        runner.run(picked);
                    }
                })?);
            }
        }
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers.max(1)).map(|_| mpsc::unbounded_channel()).unzip();
        let mut accepting = Some((listener, senders));
        for receiver in receivers {
            let own = plan.is_short.then(|| runner.clone());
            let queue = common.clone().unwrap_or_else(|| Arc::new(Queue::new(QUEUE)));
            let (shared, closed, accepting) = (shared.clone(), closed.clone(), accepting.take());
            threads.push(spawn("connections", move || {
                let worker = Worker { shared, queue, ids: RefCell::default(), paces: RefCell::default() };
                serve(Rc::new(worker), own, receiver, accepting, closed);
            })?);
        }
        Ok(Server { shared, port, closing, queues, threads: Mutex::new(threads) })
    }

    /// Takes no further connection or request, and waits until the last is answered.
    pub fn close(&self) {
        self.closing.send_replace(true);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let (models, connections): (Vec<_>, Vec<_>) =
            threads.into_iter().partition(|thread| thread.thread().name() == Some("model"));
        for thread in connections {
            let _ = thread.join();
        }
        self.queues.iter().for_each(|queue| queue.close());
        for thread in models {
            let _ = thread.join();
        }
        self.shared.feedback.close();
        if let Some(traces) = &self.shared.traces {
            traces.outbox.close();
        }
        if let Some(payloads) = &self.shared.payloads {
            payloads.outbox.close();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// On all addresses, of IPv6 and IPv4 where the machine has both.
fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let open = |domain, address: SocketAddr| {
        let socket = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if domain == Domain::IPV6 {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        _ => open(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into()),
    })
}

type Accepting = (std::net::TcpListener, Vec<mpsc::UnboundedSender<std::net::TcpStream>>);

/// A thread's life: connections come by `receiver`; the first thread accepts them for all.
fn serve(
    worker: Rc<Worker>,
    runner: Option<Arc<Runner>>,
    mut receiver: mpsc::UnboundedReceiver<std::net::TcpStream>,
    accepting: Option<Accepting>,
    mut closed: watch::Receiver<bool>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a thread of the server can't have a runtime");
    LocalSet::new().block_on(&runtime, async move {
        if let Some(runner) = runner {
            tokio::task::spawn_local(run_batches(worker.queue.clone(), runner));
        }
        if let Some(accepting) = accepting {
            tokio::task::spawn_local(accept(worker.shared.clone(), accepting, closed.clone()));
        }
        let mut reap = tokio::time::interval(REAP);
        let mut taking = true;
        loop {
            tokio::select! {
                stream = receiver.recv(), if taking => match stream {
                    Some(stream) => drop(tokio::task::spawn_local(connection(worker.clone(), stream))),
                    None => taking = false,
                },
                _ = reap.tick() => {
                    let now = Instant::now();
                    worker.paces.borrow().iter().for_each(|pace| pace.urge(now));
                    if !taking && worker.paces.borrow().is_empty() {
                        return;
                    }
                }
                _ = closed.wait_for(|closed| *closed), if taking => {
                    worker.paces.borrow().iter().for_each(|pace| pace.last.notify_one());
                    taking = false;
                    reap = tokio::time::interval(REAP_CLOSING);
                }
            }
        }
    });
}

/// Runs the model on the thread of the connections: when all that one look at the sockets has found was read, since a
/// task that is woken comes after those that are awake.
async fn run_batches(queue: Arc<Queue>, runner: Arc<Runner>) {
    loop {
        queue.notified.notified().await;
        loop {
            let picked = queue.take(runner.most_rows());
            let is_last = picked.batch.is_empty();
            runner.run(picked);
            if is_last {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn accept(shared: Arc<Shared>, (listener, senders): Accepting, mut closed: watch::Receiver<bool>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closed.wait_for(|closed| *closed) => return,
        };
        match accepted.and_then(|(stream, _)| stream.into_std()) {
            // Too many: this one is closed unheard.
            Ok(_) if shared.connections.load(Relaxed) >= CONNECTIONS => {}
            Ok(stream) => {
                let _ = senders[next % senders.len()].send(stream);
                next += 1;
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

/// One connection of a worker; it is known for as long as this lives.
struct Known {
    worker: Rc<Worker>,
    pace: Rc<Pace>,
}

impl Known {
    fn new(worker: Rc<Worker>) -> Known {
        let pace = Rc::new(Pace::new(Instant::now()));
        worker.paces.borrow_mut().push(pace.clone());
        worker.shared.connections.fetch_add(1, Relaxed);
        Known { worker, pace }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.worker.paces.borrow_mut().retain(|pace| !Rc::ptr_eq(pace, &self.pace));
        self.worker.shared.connections.fetch_sub(1, Relaxed);
    }
}

async fn connection(worker: Rc<Worker>, stream: std::net::TcpStream) {
    let known = Known::new(worker.clone());
    let pace = known.pace.clone();
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    tokio::select! {
        () = speak(worker, pace.clone(), stream) => {}
        () = pace.cut.notified() => {}
    }
}

async fn speak(worker: Rc<Worker>, pace: Rc<Pace>, stream: TcpStream) {
    let is_http2 = tokio::select! {
        Some(found) = first_words(&stream) => found,
        () = pace.last.notified() => return,
        else => return,
    };
    let service = service_fn({
        let pace = pace.clone();
        move |request| {
            let (worker, pace) = (worker.clone(), pace.clone());
            async move { Ok::<_, Infallible>(http::handle(worker, pace, request).await) }
        }
    });
    let socket = TokioIo::new(Socket::new(stream, pace.clone()));
    if is_http2 {
        let mut builder = http2::Builder::new(LocalExecutor);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .max_frame_size(WINDOW)
            .max_header_list_size(HEADER_BYTES as u32)
            .keep_alive_interval(PING)
            .keep_alive_timeout(REQUEST);
        let mut talk = pin!(builder.serve_connection(socket, service));
        loop {
            tokio::select! {
                _ = talk.as_mut() => return,
                () = pace.last.notified() => talk.as_mut().graceful_shutdown(),
            }
        }
    }
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).max_header_size(HEADER_BYTES).header_read_timeout(None).timer(TokioTimer::new());
    let mut talk = pin!(builder.serve_connection(socket, service));
    loop {
        tokio::select! {
            _ = talk.as_mut() => return,
            () = pace.last.notified() => talk.as_mut().graceful_shutdown(),
        }
    }
}

/// Whether the client speaks HTTP/2, by its first bytes; `None` if it went away.
async fn first_words(stream: &TcpStream) -> Option<bool> {
    const PAUSE: Duration = Duration::from_millis(10);
    let mut first = [0; 3];
    loop {
        let length = stream.peek(&mut first).await.ok().filter(|length| *length > 0)?;
        match is_http2(&first[..length]) {
            Some(found) => return Some(found),
            // What was looked at stays, and would be found at once again.
            None => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// HTTP/2's streams are tasks of the same thread.
#[derive(Clone)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}
