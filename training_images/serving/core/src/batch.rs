//! Who waits for the model, and who shares its next run.
//!
//! A batch is whatever waits when the model is free; nobody waits for a fuller one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use crate::call::Run;
use crate::engine::{Cause, Engine, Failure};
use crate::histogram::Histograms;
use crate::log::{self, Seldom};
use crate::metrics::{Metrics, Reason};
use crate::refusal::Refusal;
use crate::tensor::{Data, Tensor};

/// Jobs of other shapes that are looked past for those that can join a batch.
const LOOKED_PAST: usize = 32;

/// What a client hears whose time is over.
pub fn too_late() -> Refusal {
    Refusal::new(504, "parameters.timeout: was over before the model was free")
}

/// A request that waits for its answer.
pub struct Job {
    pub inputs: Vec<Tensor>,
    pub rows: usize,
    /// The smaller, the sooner.
    pub priority: u32,
    pub deadline: Option<Instant>,
    pub since: Instant,
    pub reply: oneshot::Sender<Result<Answered, Refusal>>,
}

/// What the model gave for a request, and when.
pub struct Answered {
    pub outputs: Vec<Tensor>,
    pub run: Run,
}

impl Job {
    /// Whether its rows can follow those of `other` in one tensor.
    fn joins(&self, other: &Job) -> bool {
        let alike = |(a, b): (&Tensor, &Tensor)| a.shape.get(1..) == b.shape.get(1..);
        self.inputs.iter().zip(&other.inputs).all(alike) && self.has_rows() && other.has_rows()
    }

    fn has_rows(&self) -> bool {
        self.inputs.iter().all(|tensor| !tensor.shape.is_empty() && tensor.rows() == self.rows)
    }
}

/// A bounded queue, first come first served among those of one priority.
pub struct Queue {
    state: Mutex<State>,
    /// For the threads that run the model ...
    arrived: Condvar,
    /// ... or for the task that does.
    pub notified: Notify,
    capacity: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    pub fn new(capacity: usize) -> Queue {
        Queue { state: Mutex::default(), arrived: Condvar::new(), notified: Notify::new(), capacity }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the job wait, or refuses it at once.
    pub fn push(&self, job: Job) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.jobs.len() >= self.capacity {
            // Those who went away need not wait any more.
            state.jobs.retain(|job| !job.reply.is_closed());
        }
        if state.jobs.len() >= self.capacity {
            return Err(Refusal::new(503, format!("{} requests wait already: come back in a second", self.capacity)));
        }
        let place = state.jobs.iter().rposition(|other| other.priority <= job.priority).map_or(0, |found| found + 1);
        state.jobs.insert(place, job);
        drop(state);
        self.arrived.notify_one();
        self.notified.notify_one();
        Ok(())
    }

    /// The next batch, which is empty when nobody waits.
    pub fn take(&self, most_rows: usize) -> Picked {
        pick(&mut self.state().jobs, Instant::now(), most_rows)
    }

    /// The next batch, waited for; `None` once the queue is closed.
    pub fn wait(&self, most_rows: usize) -> Option<Picked> {
        let mut state = self.state();
        while state.jobs.is_empty() {
            if state.closed {
                return None;
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some(pick(&mut state.jobs, Instant::now(), most_rows))
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_all();
        self.notified.notify_one();
    }
}

/// What was taken from the queue.
#[derive(Default)]
pub struct Picked {
    pub batch: Vec<Job>,
    pub late: Vec<Job>,
    pub cancelled: usize,
}

/// Takes those who share the next run: the first, and whoever joins it within `most_rows`.
fn pick(jobs: &mut VecDeque<Job>, now: Instant, most_rows: usize) -> Picked {
    let mut picked = Picked::default();
    let mut kept = Vec::new();
    let mut rows = 0;
    while let Some(job) = jobs.pop_front() {
        // Who is late may have been told so already, and be gone.
        if job.deadline.is_some_and(|deadline| deadline < now) {
            picked.late.push(job);
        } else if job.reply.is_closed() {
            picked.cancelled += 1;
        } else if let Some(first) = picked.batch.first() {
            if rows + job.rows > most_rows {
                kept.push(job);
                break;
            }
            if job.joins(first) {
                rows += job.rows;
                picked.batch.push(job);
            } else {
                kept.push(job);
                if kept.len() == LOOKED_PAST {
                    break;
                }
            }
        } else {
            rows = job.rows;
            picked.batch.push(job);
        }
    }
    for job in kept.into_iter().rev() {
        jobs.push_front(job);
    }
    picked
}

/// Runs batches.
pub struct Runner {
    pub engine: Arc<Engine>,
    pub histograms: Arc<Histograms>,
    pub metrics: Arc<Metrics>,
    most_rows: usize,
    /// Set when the model's answers turned out not to be one for each row.
    alone: AtomicBool,
}

static FAILED: Seldom = Seldom::new();

impl Runner {
    pub fn new(engine: Arc<Engine>, histograms: Arc<Histograms>, metrics: Arc<Metrics>, most_rows: usize) -> Runner {
        Runner { engine, histograms, metrics, most_rows, alone: AtomicBool::new(false) }
    }

    /// Rows that may share a run; with 1 each request has a run of its own.
    pub fn most_rows(&self) -> usize {
        if self.alone.load(Relaxed) { 1 } else { self.most_rows }
    }

    /// Answers everybody in `picked`.
    pub fn run(&self, picked: Picked) {
        for _ in 0..picked.cancelled {
            self.metrics.reject(Reason::Cancelled);
        }
        for job in picked.late {
            self.metrics.reject(Reason::Late);
            let _ = job.reply.send(Err(too_late()));
        }
        if picked.batch.is_empty() {
            return;
        }
        let now = Instant::now();
        for job in &picked.batch {
            self.metrics.queue_seconds.add((now - job.since).as_secs_f64());
        }
        // Who is dropped by a panic answers 500; the thread has others to serve.
        if catch_unwind(AssertUnwindSafe(|| self.answer(picked.batch))).is_err() {
            log::warn("a run of the model panicked");
        }
    }

    fn answer(&self, mut batch: Vec<Job>) {
        if batch.len() > 1 {
            match self.answer_together(&mut batch) {
                Ok(()) => return,
                // One of them may be to blame: then the others must not suffer.
                Err(failure) => {
                    FAILED.warn(|| format!("a run of {} requests failed: {}", batch.len(), failure.message))
                }
            }
        }
        for job in batch {
            let found = self.run_once(&job.inputs, 1, job.rows);
            let found = found.map(|(outputs, run)| Answered { outputs, run }).map_err(|failure| refusal(&failure));
            let _ = job.reply.send(found);
        }
    }

    fn answer_together(&self, batch: &mut Vec<Job>) -> Result<(), Failure> {
        let rows: Vec<usize> = batch.iter().map(|job| job.rows).collect();
        let total = rows.iter().sum();
        let inputs: Vec<Tensor> = (0..self.engine.inputs.len()).map(|place| joined(batch, place, total)).collect();
        let (outputs, run) = self.run_once(&inputs, batch.len(), total)?;
        if let Some(place) = outputs.iter().position(|output| output.shape.is_empty() || output.rows() != total) {
            self.alone.store(true, Relaxed);
            let name = &self.engine.outputs[place].name;
            let message = format!("{name} has not one answer for each row: from now on each request is run alone");
            return Err(Failure { cause: Cause::Model, message });
        }
        let mut start = 0;
        for (job, rows) in batch.drain(..).zip(rows) {
            let outputs = outputs.iter().map(|output| part(output, start, rows)).collect();
            let _ = job.reply.send(Ok(Answered { outputs, run }));
            start += rows;
        }
        Ok(())
    }

    fn run_once(&self, inputs: &[Tensor], requests: usize, rows: usize) -> Result<(Vec<Tensor>, Run), Failure> {
        let began = Instant::now();
        let outputs = self.engine.run(inputs)?;
        let run = Run { began, ended: Instant::now(), requests, rows };
        self.metrics.ran(requests, rows, run.ended - began);
        self.histograms.count(inputs, &outputs, rows);
        Ok((outputs, run))
    }
}

fn refusal(failure: &Failure) -> Refusal {
    match failure.cause {
        Cause::Request => Refusal::bad(format!("inputs: the model can't take them: {}", failure.message)),
        Cause::Memory => {
            FAILED.warn(|| format!("the model needs more memory than there is: {}", failure.message));
            Refusal::new(413, "inputs: the model needs more memory for them than there is")
        }
        Cause::Model => {
            FAILED.warn(|| format!("the model failed: {}", failure.message));
            Refusal::new(500, "the model failed; the server's log says why")
        }
    }
}

/// One input of all jobs, their rows one after the other.
fn joined(batch: &[Job], place: usize, total: usize) -> Tensor {
    let first = &batch[0].inputs[place];
    let mut shape = first.shape.clone();
    shape[0] = total as i64;
    let data = match first.data {
        Data::Fixed(_) => {
            let parts = || batch.iter().filter_map(|job| fixed(&job.inputs[place]));
            let mut all = Vec::with_capacity(parts().map(Bytes::len).sum());
            parts().for_each(|raw| all.extend_from_slice(raw));
            Data::Fixed(Bytes::from(all))
        }
        Data::Texts(_) => {
            let texts = |job: &Job| match &job.inputs[place].data {
                Data::Texts(texts) => texts.clone(),
                Data::Fixed(_) => Vec::new(),
            };
            Data::Texts(batch.iter().flat_map(texts).collect())
        }
    };
    Tensor { datatype: first.datatype, shape, data }
}

fn fixed(tensor: &Tensor) -> Option<&Bytes> {
    match &tensor.data {
        Data::Fixed(raw) => Some(raw),
        Data::Texts(_) => None,
    }
}

/// Rows of an output, in the memory that it has.
fn part(output: &Tensor, start: usize, rows: usize) -> Tensor {
    let total = output.rows();
    let mut shape = output.shape.clone();
    shape[0] = rows as i64;
    let data = match &output.data {
        Data::Fixed(raw) => {
            let size = raw.len() / total;
            Data::Fixed(raw.slice(start * size..(start + rows) * size))
        }
        Data::Texts(texts) => {
            let size = texts.len() / total;
            Data::Texts(texts[start * size..(start + rows) * size].to_vec())
        }
    };
    Tensor { datatype: output.datatype, shape, data }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tensor::Datatype;

    type Reply = oneshot::Receiver<Result<Answered, Refusal>>;

    fn job(rows: i64, width: i64) -> (Job, Reply) {
        let (reply, receiver) = oneshot::channel();
        let data = Data::Fixed(Bytes::from(vec![rows as u8; (rows * width) as usize]));
        let inputs = vec![Tensor { datatype: Datatype::Uint8, shape: vec![rows, width], data }];
        (Job { inputs, rows: rows as usize, priority: 0, deadline: None, since: Instant::now(), reply }, receiver)
    }

    fn rows(jobs: &[Job]) -> Vec<usize> {
        jobs.iter().map(|job| job.rows).collect()
    }

    fn picked(sizes: &[(i64, i64)], most_rows: usize) -> (Vec<usize>, Vec<usize>) {
        let (jobs, _replies): (Vec<Job>, Vec<Reply>) = sizes.iter().map(|(rows, width)| job(*rows, *width)).unzip();
        let mut jobs = VecDeque::from(jobs);
        let batch = rows(&pick(&mut jobs, Instant::now(), most_rows).batch);
        (batch, rows(jobs.make_contiguous()))
    }

    #[test]
    fn who_shares_a_run() {
        for (sizes, most_rows, batch, left) in [
            (&[(1, 2), (2, 2), (3, 2)][..], 8, &[1, 2, 3][..], &[][..]),
            (&[(1, 2), (2, 2), (3, 2)], 3, &[1, 2], &[3]),
            (&[(9, 2), (2, 2)], 8, &[9], &[2]),
            (&[(1, 2), (2, 3), (3, 2)], 8, &[1, 3], &[2]),
            (&[(1, 2), (1, 2)], 1, &[1], &[1]),
            (&[], 8, &[], &[]),
        ] {
            assert_eq!(picked(sizes, most_rows), (batch.to_vec(), left.to_vec()), "{sizes:?}");
        }
    }

    #[test]
    fn who_is_late_or_gone_is_left_out() {
        let now = Instant::now();
        let ((mut late, _late), (gone, reply), (good, _good)) = (job(1, 1), job(2, 1), job(3, 1));
        late.deadline = Some(now - Duration::from_secs(1));
        drop(reply);
        let found = pick(&mut VecDeque::from([late, gone, good]), now, 8);
        assert_eq!((rows(&found.batch), rows(&found.late), found.cancelled), (vec![3], vec![1], 1));
    }

    #[test]
    fn the_smaller_priority_comes_first() {
        let queue = Queue::new(10);
        let mut replies = Vec::new();
        for (rows, priority) in [(1, 1), (2, 0), (3, 1), (4, 0)] {
            let (mut one, reply) = job(rows, 1);
            one.priority = priority;
            queue.push(one).unwrap();
            replies.push(reply);
        }
        assert_eq!(rows(&queue.take(100).batch), [2, 4, 1, 3]);
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let queue = Queue::new(2);
        let (first, reply) = job(1, 1);
        let (second, _second) = job(2, 1);
        queue.push(first).unwrap();
        queue.push(second).unwrap();
        let (third, _third) = job(3, 1);
        let refused = queue.push(third).unwrap_err();
        assert_eq!((refused.status, refused.retry_after()), (503, Some(1)));
        drop(reply);
        let (fourth, _fourth) = job(4, 1);
        assert!(queue.push(fourth).is_ok(), "one of those who waited has gone");
    }

    #[test]
    fn a_closed_queue_is_emptied_first() {
        let queue = Queue::new(2);
        let (one, _reply) = job(1, 1);
        queue.push(one).unwrap();
        queue.close();
        assert_eq!(queue.wait(8).map(|picked| rows(&picked.batch)), Some(vec![1]));
        assert!(queue.wait(8).is_none());
    }

    #[test]
    fn rows_are_joined_and_parted() {
        let (batch, _replies): (Vec<Job>, Vec<Reply>) = [job(1, 2), job(2, 2)].into_iter().unzip();
        let all = joined(&batch, 0, 3);
        assert_eq!((&all.shape, &all.data), (&vec![3, 2], &Data::Fixed(Bytes::from_static(&[1, 1, 2, 2, 2, 2]))));
        assert_eq!(part(&all, 0, 1), batch[0].inputs[0]);
        assert_eq!(part(&all, 1, 2), batch[1].inputs[0]);
    }
}
