//! One request to the model: checked, waited for, signed. What HTTP and gRPC share.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::answer::{self, Answer, Signed};
use crate::batch::{Job, too_late};
use crate::call::Call;
use crate::event_time::EventTimes;
use crate::histogram::numbers;
use crate::invocations::{self, Known};
use crate::limits::Held;
use crate::metrics::Reason;
use crate::parameters::Urgency;
use crate::refusal::Refusal;
use crate::request;
use crate::tensor::{Tensor, elements};
use crate::token;
use crate::worker::Worker;

/// Nanoseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The answer to a request as JSON with the bytes of its binary tensors.
pub async fn answer(
    worker: &Rc<Worker>,
    json: &[u8],
    tail: &Bytes,
    held: &mut Held,
    call: &Call,
) -> Result<Answer, Refusal> {
    let shared = &worker.shared;
    let (inputs, outputs) = (&shared.engine.inputs, &shared.engine.outputs);
    let request = request::read(inputs, outputs, json, tail, now(), held)?;
    let rows = request.rows;
    let found = run(worker, request.inputs, rows, request.timed.urgency, call).await?;
    let tokens = sign(worker, &found, rows, &request.timed.event_times);
    let signed = Signed { model: &shared.model, version: &shared.version, tokens: &tokens };
    Ok(answer::write(&signed, request.id.as_deref(), &request.outputs, outputs, &found))
}

/// The answer to a request of `mlflow models serve`, whose body is of the media type `kind`.
pub async fn invoke(
    worker: &Rc<Worker>,
    kind: &[u8],
    body: &[u8],
    held: &mut Held,
    call: &Call,
) -> Result<Vec<u8>, Refusal> {
    let shared = &worker.shared;
    let known = Known { inputs: &shared.engine.inputs, columns: &shared.columns };
    let asked = invocations::read(known, kind, body, now(), held)?;
    let rows = asked.rows;
    let found = run(worker, asked.inputs, rows, asked.timed.urgency, call).await?;
    let tokens = sign(worker, &found, rows, &asked.timed.event_times);
    let signed = Signed { model: &shared.model, version: &shared.version, tokens: &tokens };
    invocations::write(&signed, &shared.engine.outputs, &found, asked.is_frame)
}

/// The model's answers to `inputs`, when it is their turn.
pub async fn run(
    worker: &Rc<Worker>,
    inputs: Vec<Tensor>,
    rows: usize,
    urgency: Urgency,
    call: &Call,
) -> Result<Vec<Tensor>, Refusal> {
    let shared = &worker.shared;
    shared.histograms.check_nulls(&inputs, rows)?;
    let (reply, receiver) = oneshot::channel();
    let started = call.read.get();
    let deadline = urgency.timeout.and_then(|timeout| started.checked_add(timeout));
    let job = Job { inputs, rows, priority: urgency.priority, deadline, since: started, reply };
    worker.queue.push(job).inspect_err(|_| shared.metrics.reject(Reason::Full))?;
    let answered = match deadline {
        None => receiver.await,
        Some(deadline) => match tokio::time::timeout_at(deadline.into(), receiver).await {
            Ok(answered) => answered,
            Err(_) => return Err(too_late()),
        },
    };
    let answered = answered.unwrap_or_else(|_| Err(Refusal::new(500, "the server failed; its log says why")))?;
    call.run.set(Some(answered.run));
    Ok(answered.outputs)
}

/// One token a row, of a model with one output of one number a row.
pub fn sign(worker: &Worker, outputs: &[Tensor], rows: usize, times: &EventTimes) -> Vec<[u8; token::LENGTH]> {
    let Some(predictions) = one_number_a_row(outputs, rows) else { return Vec::new() };
    let mut ids = worker.ids.borrow_mut();
    let each = predictions.into_iter().enumerate();
    each.map(|(row, prediction)| worker.shared.signer.sign(times.of(row), prediction, ids.fresh())).collect()
}

fn one_number_a_row(outputs: &[Tensor], rows: usize) -> Option<Vec<f64>> {
    let [output] = outputs else { return None };
    let fits = !output.shape.is_empty() && output.rows() == rows && elements(&output.shape) == Some(rows);
    if fits { numbers(output) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Data, Datatype};

    #[test]
    fn which_models_have_a_prediction() {
        let tensor = |datatype: Datatype, shape: &[i64]| Tensor {
            datatype,
            shape: shape.to_vec(),
            data: Data::Fixed(Bytes::from(vec![0; elements(shape).unwrap() * datatype.size().unwrap()])),
        };
        let good = tensor(Datatype::Fp32, &[2, 1]);
        assert_eq!(one_number_a_row(std::slice::from_ref(&good), 2), Some(vec![0.0, 0.0]));
        assert_eq!(one_number_a_row(&[tensor(Datatype::Int64, &[2])], 2), Some(vec![0.0, 0.0]));
        for outputs in [
            vec![good.clone(), good],
            vec![tensor(Datatype::Fp32, &[2, 2])],
            vec![tensor(Datatype::Fp32, &[1, 2])],
            vec![tensor(Datatype::Fp32, &[])],
            vec![tensor(Datatype::Bool, &[2])],
        ] {
            assert_eq!(one_number_a_row(&outputs, 2), None);
        }
    }
}
