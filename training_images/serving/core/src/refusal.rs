//! What a client gets to hear when its request can't be answered.

/// A request that is not answered: an HTTP status (gRPC's follows from it) and a message that names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into() }
    }

    /// The request is wrong.
    pub fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new(400, message)
    }

    /// A client that is told to come back later is told when.
    pub fn retry_after(&self) -> Option<u32> {
        (self.status == 503).then_some(1)
    }

    pub fn grpc_code(&self) -> u32 {
        match self.status {
            400 | 415 => 3, // INVALID_ARGUMENT
            404 => 5,       // NOT_FOUND
            405 => 12,      // UNIMPLEMENTED
            408 | 504 => 4, // DEADLINE_EXCEEDED
            413 => 8,       // RESOURCE_EXHAUSTED
            503 => 14,      // UNAVAILABLE
            _ => 13,        // INTERNAL
        }
    }
}
