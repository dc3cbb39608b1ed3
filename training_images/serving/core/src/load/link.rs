//! One connection, over which one request at a time goes.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{Plan, Protocol, Request, Unmeasured, grpc, http1};

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Exchange {
    /// The status of HTTP, or the code of gRPC.
    Answer {
        code: u16,
        is_good: bool,
    },
    Failed(&'static str),
}

/// Connections that the server ended, and requests that were sent again as theirs had ended before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub reopened: u32,
    pub resent: u32,
}

/// A request as it goes over the wire.
pub enum Prepared {
    Http(Bytes),
    Grpc { head: Box<hyper::Request<()>>, message: Bytes },
}

pub enum Link {
    Http(http1::Connection),
    Grpc(grpc::Connection),
}

impl Link {
    pub fn new(protocol: Protocol, address: SocketAddr) -> Link {
        match protocol {
            Protocol::Http => Link::Http(http1::Connection::new(address)),
            Protocol::Grpc => Link::Grpc(grpc::Connection::new(address)),
        }
    }

    pub async fn open(&mut self) -> Result<(), &'static str> {
        match self {
            Link::Http(connection) => connection.open().await,
            Link::Grpc(connection) => connection.open().await,
        }
    }

    pub async fn exchange(&mut self, request: &Prepared) -> Exchange {
        match (self, request) {
            (Link::Http(connection), Prepared::Http(bytes)) => connection.exchange(bytes).await,
            (Link::Grpc(connection), Prepared::Grpc { head, message }) => connection.exchange(head, message).await,
            _ => unreachable!("requests are prepared for the links of their plan"),
        }
    }

    /// Its request is no longer waited for.
    pub fn give_up(&mut self) {
        match self {
            Link::Http(connection) => connection.close(),
            Link::Grpc(connection) => connection.close(),
        }
    }

    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(match self {
            Link::Http(connection) => &mut connection.counts,
            Link::Grpc(connection) => &mut connection.counts,
        })
    }
}

pub fn prepare(plan: &Plan, request: &Request) -> Result<Prepared, Unmeasured> {
    match plan.protocol {
        Protocol::Http => Ok(Prepared::Http(http1::bytes(&plan.authority, &plan.path, request))),
        Protocol::Grpc => grpc::prepare(&plan.authority, &plan.path, request),
    }
}
