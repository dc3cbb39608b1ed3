//! Messages of OTLP (`opentelemetry.proto.collector.trace.v1`) by their field numbers, as far as they are used.

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

#[derive(Clone, PartialEq, Message)]
pub struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub span: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub parent: Vec<u8>,
    #[prost(string, tag = "5")]
    pub name: String,
    #[prost(int32, tag = "6")]
    pub kind: i32,
    #[prost(fixed64, tag = "7")]
    pub began: u64,
    #[prost(fixed64, tag = "8")]
    pub ended: u64,
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<Attribute>,
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "3")]
    pub code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(oneof = "Choice", tags = "1, 3")]
    pub choice: Option<Choice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Choice {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Whole(i64),
}

pub fn attribute(name: &str, value: i64) -> Attribute {
    Attribute { name: name.to_owned(), value: Some(Value { choice: Some(Choice::Whole(value)) }) }
}

/// `ScopeSpans` without its scope: such messages can be written one after the other, and are one.
#[derive(Clone, PartialEq, Message)]
pub struct SpansOnly {
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(message, optional, tag = "1")]
    scope: Option<Named>,
}

#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<Attribute>,
}

/// `ExportTraceServiceRequest` with one resource and one scope.
pub fn request(resource: &[(String, String)], records: &[Vec<u8>]) -> Vec<u8> {
    let text = |value: &str| Some(Value { choice: Some(Choice::Text(value.to_owned())) });
    let attributes = resource.iter().map(|(name, value)| Attribute { name: name.clone(), value: text(value) });
    let resource = Resource { attributes: attributes.collect() };
    let named = Named { name: "modelcycle_core".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let mut scope = Scope { scope: Some(named) }.encode_to_vec();
    records.iter().for_each(|record| scope.extend_from_slice(record));
    let mut resources = Vec::with_capacity(scope.len() + 256);
    write_part(&mut resources, 1, &resource.encode_to_vec());
    write_part(&mut resources, 2, &scope);
    let mut request = Vec::with_capacity(resources.len() + 8);
    write_part(&mut request, 1, &resources);
    request
}

fn write_part(out: &mut Vec<u8>, field: u32, part: &[u8]) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(part.len() as u64, out);
    out.extend_from_slice(part);
}
