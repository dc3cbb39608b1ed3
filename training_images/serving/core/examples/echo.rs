//! The floor of the benchmark: a server on the stack of the core (hyper, one thread) that gives back what it gets.
//!
//!     echo PORT

use std::convert::Infallible;
use std::error::Error;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: echo PORT")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            spawn_local(async move {
                let echo =
                    |request: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(request.into_body())) };
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo)).await;
            });
        }
    })
}
