//! The server's threads: each has its connections, and either runs the model itself or has it run by threads of its own.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::batch::{Queue, Runner};
use crate::calibrate::Plan;
use crate::limits::{CONNECTIONS, QUEUE};
use crate::worker::{Shared, Worker};

mod talk;

use talk::connection;

const BACKLOG: i32 = 1024;
/// How often the connections are looked at for those that are late.
const REAP: Duration = Duration::from_millis(500);
/// The same for whether there are any left.
const REAP_CLOSING: Duration = Duration::from_millis(20);
/// After an accept that failed, as it does when there are too many files open.
const BREATH: Duration = Duration::from_millis(50);

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
                serve(Rc::new(Worker::new(shared, queue)), own, receiver, accepting, closed);
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
