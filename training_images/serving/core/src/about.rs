//! What the server says of itself and of its model, by HTTP and by gRPC alike. Config and statistics are Triton's
//! extensions of the protocol, which its clients ask for.

use crate::metrics::{Metrics, Spent};
use crate::tensor::{Datatype, Dim, Spec};

pub const NAME: &str = "modelcycle";
pub const PROTOCOL: &str = "v2";
pub const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_configuration", "statistics"];
pub const PLATFORM: &str = "onnxruntime_onnx";
pub const BACKEND: &str = "onnxruntime";

/// Sizes of a tensor; one that varies is -1.
pub fn sizes(spec: &Spec) -> impl Iterator<Item = i64> {
    spec.dims.iter().map(|dim| if let Dim::Fixed(size) = dim { *size } else { -1 })
}

/// A tensor as Triton's configuration has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Configured<'a> {
    pub name: &'a str,
    /// Name and number of its type.
    pub datatype: (&'static str, i32),
    /// Without that of the rows, where requests share runs.
    pub sizes: Vec<i64>,
}

/// What Triton calls the largest batch: 0 where requests share no runs.
pub fn max_batch_size(most_rows: usize) -> i32 {
    if most_rows > 1 { i32::try_from(most_rows).unwrap_or(i32::MAX) } else { 0 }
}

pub fn configured(spec: &Spec, most_rows: usize) -> Configured<'_> {
    let rows = usize::from(most_rows > 1);
    Configured { name: &spec.name, datatype: triton_type(spec.datatype), sizes: sizes(spec).skip(rows).collect() }
}

fn triton_type(datatype: Datatype) -> (&'static str, i32) {
    match datatype {
        Datatype::Bool => ("TYPE_BOOL", 1),
        Datatype::Uint8 => ("TYPE_UINT8", 2),
        Datatype::Uint16 => ("TYPE_UINT16", 3),
        Datatype::Uint32 => ("TYPE_UINT32", 4),
        Datatype::Uint64 => ("TYPE_UINT64", 5),
        Datatype::Int8 => ("TYPE_INT8", 6),
        Datatype::Int16 => ("TYPE_INT16", 7),
        Datatype::Int32 => ("TYPE_INT32", 8),
        Datatype::Int64 => ("TYPE_INT64", 9),
        Datatype::Fp16 => ("TYPE_FP16", 10),
        Datatype::Fp32 => ("TYPE_FP32", 11),
        Datatype::Fp64 => ("TYPE_FP64", 12),
        Datatype::Bytes => ("TYPE_STRING", 13),
        Datatype::Bf16 => ("TYPE_BF16", 14),
    }
}

/// What was done so far, as Triton counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Milliseconds since 1970; 0 before the first.
    pub last_inference: u64,
    /// Rows.
    pub inferences: u64,
    /// Runs of the model.
    pub executions: u64,
    pub success: Spent,
    pub fail: Spent,
    pub queue: Spent,
    /// In runs of the model, counted for each request that shared one.
    pub compute: Spent,
}

pub fn statistics(metrics: &Metrics) -> Statistics {
    let rows = metrics.batch_rows.total();
    Statistics {
        last_inference: metrics.last_inference(),
        inferences: rows.nanos / 1_000_000_000,
        executions: rows.count,
        success: metrics.succeeded.get(),
        fail: metrics.failed.get(),
        queue: metrics.queue_seconds.total(),
        compute: metrics.computed.get(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_tensor_is_configured_without_its_rows() {
        let spec = Spec { name: "x".to_owned(), datatype: Datatype::Fp32, dims: vec![Dim::Free, Dim::Fixed(2)] };
        for (most_rows, batch, sizes) in [(1, 0, vec![-1, 2]), (64, 64, vec![2])] {
            assert_eq!(max_batch_size(most_rows), batch);
            let found = configured(&spec, most_rows);
            assert_eq!(found, Configured { name: "x", datatype: ("TYPE_FP32", 11), sizes });
        }
    }

    #[test]
    fn every_datatype_has_a_number_of_its_own() {
        let mut numbers = Datatype::ALL.map(|datatype| triton_type(datatype).1);
        numbers.sort_unstable();
        assert_eq!(numbers.to_vec(), (1..=14).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_done() {
        let metrics = Metrics::default();
        assert_eq!(statistics(&metrics), Statistics::default());
        metrics.request(200, Some(Duration::from_nanos(5)));
        metrics.request(400, Some(Duration::from_nanos(7)));
        metrics.queue_seconds.add(2e-9);
        metrics.ran(3, 12, Duration::from_nanos(4));
        let found = statistics(&metrics);
        assert!(found.last_inference > 0);
        assert_eq!((found.inferences, found.executions), (12, 1));
        let spent = |count, nanos| Spent { count, nanos };
        assert_eq!((found.success, found.fail), (spent(1, 5), spent(1, 7)));
        assert_eq!((found.queue, found.compute), (spent(1, 2), spent(3, 12)));
    }
}
