//! The path of an inference request through the server, without the Python interpreter.

pub mod about;
pub mod answer;
pub mod batch;
pub mod calibrate;
pub mod call;
pub mod connection;
pub mod contents;
pub mod engine;
pub mod event_time;
pub mod feedback;
pub mod grpc;
pub mod histogram;
pub mod http;
pub mod inference;
pub mod invocations;
pub mod json;
pub mod limits;
pub mod load;
pub mod log;
pub mod metrics;
pub mod outbox;
pub mod parameters;
pub mod payloads;
pub mod protocol;
#[cfg(feature = "python")]
mod python;
pub mod refusal;
pub mod request;
pub mod sent;
pub mod server;
pub mod tensor;
pub mod token;
pub mod traces;
pub mod values;
pub mod weight;
pub mod worker;
