//! How a model is best run, tried out before the first request: which also warms up every size of batch.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::engine::{Engine, Failure};
use crate::histogram::numbers;
use crate::log;
use crate::tensor::{Data, Datatype, Dim, Spec, Tensor, elements};

/// The largest batch that is tried.
const MOST_ROWS: usize = 256;
/// Nor is a batch tried whose half takes so long ...
const LONGEST: Duration = Duration::from_millis(25);
/// ... or so much memory.
const MOST_BYTES: usize = 64 << 20;
/// A run that takes no longer does not hold up connections that share its thread.
const SHORT: Duration = Duration::from_millis(1);
const TRIES: usize = 3;
/// Of made-up rows, where it varies.
const USUAL_SIZE: i64 = 16;
/// How long rows a second are counted.
const MEASURED: Duration = Duration::from_millis(500);
/// A larger batch has to take this much less time for each row.
const WORTHWHILE: f64 = 0.95;

/// How to run a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rows of requests that share a run; with 1 each request has a run of its own.
    pub most_rows: usize,
    /// The largest batch is over so soon that it may run on the thread of the connections.
    pub is_short: bool,
}

/// Tries `engine` with rows like `sample`, which has two or more of them where the model takes several.
pub fn calibrate(engine: &Engine, sample: &[Tensor]) -> Result<Plan, Failure> {
    let rows = sample.first().map_or(1, Tensor::rows);
    if !takes_rows(engine) || !answers_rows(engine, sample, rows)? {
        let took = time(engine, sample)?;
        return Ok(Plan { most_rows: 1, is_short: took < SHORT });
    }
    let mut times = Vec::new();
    let mut size = 1;
    while size <= MOST_ROWS {
        let batch: Vec<Tensor> = sample.iter().map(|tensor| repeated(tensor, size)).collect();
        let took = time(engine, &batch)?;
        times.push((size, took));
        if took > LONGEST || batch.iter().map(bytes).sum::<usize>() > MOST_BYTES {
            break;
        }
        size *= 2;
    }
    Ok(choose(&times))
}

/// Rows a second that so many `runners` answer together, each with batches of `rows` rows like `sample` one after the other.
pub fn throughput(engine: &Engine, sample: &[Tensor], rows: usize, runners: usize) -> Result<f64, Failure> {
    let batch: Vec<Tensor> = match rows {
        1 => sample.to_vec(),
        rows => sample.iter().map(|tensor| repeated(tensor, rows)).collect(),
    };
    let began = Instant::now();
    let run = || {
        let mut runs = 0;
        while runs < TRIES || began.elapsed() < MEASURED {
            engine.run(&batch)?;
            runs += 1;
        }
        Ok(runs)
    };
    let runs = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..runners.max(1)).map(|_| scope.spawn(run)).collect();
        let each = threads.into_iter().map(|thread| match thread.join() {
            Ok(runs) => runs,
            Err(_) => Err(Failure::ours("a run of the model panicked")),
        });
        each.sum::<Result<usize, Failure>>()
    })?;
    Ok((runs * rows) as f64 / began.elapsed().as_secs_f64())
}

/// The smallest size of batch that is about as good as the best, by the time of a run of each.
fn choose(times: &[(usize, Duration)]) -> Plan {
    let per_row = |(size, took): &(usize, Duration)| took.as_secs_f64() / *size as f64;
    let best = times.iter().map(per_row).fold(f64::INFINITY, f64::min);
    let chosen = times.iter().find(|one| per_row(one) * WORTHWHILE <= best);
    chosen.map_or(Plan { most_rows: 1, is_short: false }, |(size, took)| Plan {
        most_rows: *size,
        is_short: *took < SHORT,
    })
}

/// Whether the first size of all inputs and outputs varies, and is the same for all as far as it has a name.
fn takes_rows(engine: &Engine) -> bool {
    let first = |spec: &Spec| spec.dims.first().cloned().filter(Dim::varies);
    let all: Vec<Option<Dim>> = engine.inputs.iter().chain(&engine.outputs).map(first).collect();
    let mut names: Vec<&String> =
        all.iter().filter_map(|dim| if let Some(Dim::Named(name)) = dim { Some(name) } else { None }).collect();
    names.dedup();
    !engine.inputs.is_empty() && all.iter().all(Option::is_some) && names.len() <= 1
}

/// Whether two rows get together what they get alone. A model that mixes its rows must not see those of two clients.
fn answers_rows(engine: &Engine, sample: &[Tensor], rows: usize) -> Result<bool, Failure> {
    let row = |place: usize| sample.iter().map(|tensor| taken(tensor, place % rows)).collect::<Vec<_>>();
    let (first, second) = (engine.run(&row(0))?, engine.run(&row(1))?);
    let both: Vec<Tensor> = sample.iter().map(|tensor| repeated(tensor, 2)).collect();
    let Ok(together) = engine.run(&both) else { return Ok(false) };
    for (place, both) in together.iter().enumerate() {
        if both.rows() != 2 || !same(&taken(both, 0), &first[place]) || !same(&taken(both, 1), &second[place]) {
            let name = &engine.outputs[place].name;
            log::warn(&format!("{name} of two rows together is not what they get alone: each request is run alone"));
            return Ok(false);
        }
    }
    Ok(true)
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-3 + 1e-3 * b.abs() || a == b || (a.is_nan() && b.is_nan());
    a.shape == b.shape
        && match (numbers(a), numbers(b)) {
            (Some(a), Some(b)) => a.iter().zip(&b).all(near),
            _ => a.data == b.data,
        }
}

fn time(engine: &Engine, inputs: &[Tensor]) -> Result<Duration, Failure> {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let start = Instant::now();
        engine.run(inputs)?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn bytes(tensor: &Tensor) -> usize {
    match &tensor.data {
        Data::Fixed(raw) => raw.len(),
        Data::Texts(texts) => texts.iter().map(Bytes::len).sum(),
    }
}

/// One row of a tensor.
fn taken(tensor: &Tensor, row: usize) -> Tensor {
    let rows = tensor.rows().max(1);
    let mut shape = tensor.shape.clone();
    if let Some(size) = shape.first_mut() {
        *size = 1;
    }
    let data = match &tensor.data {
        Data::Fixed(raw) => {
            let size = raw.len() / rows;
            Data::Fixed(raw.slice(row * size..(row + 1) * size))
        }
        Data::Texts(texts) => {
            let size = texts.len() / rows;
            Data::Texts(texts[row * size..(row + 1) * size].to_vec())
        }
    };
    Tensor { datatype: tensor.datatype, shape, data }
}

/// A tensor of so many rows, those of `tensor` over and over.
fn repeated(tensor: &Tensor, size: usize) -> Tensor {
    let rows = tensor.rows().max(1);
    let mut shape = tensor.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = size as i64;
    }
    let parts = (0..size).map(|row| taken(tensor, row % rows).data);
    let data = match &tensor.data {
        Data::Fixed(_) => Data::Fixed(
            parts
                .flat_map(|data| match data {
                    Data::Fixed(raw) => raw,
                    Data::Texts(_) => Bytes::new(),
                })
                .collect(),
        ),
        Data::Texts(_) => Data::Texts(
            parts
                .flat_map(|data| match data {
                    Data::Texts(texts) => texts,
                    Data::Fixed(_) => Vec::new(),
                })
                .collect(),
        ),
    };
    Tensor { datatype: tensor.datatype, shape, data }
}

/// Two different rows for a model of which no example is at hand. Other sizes that vary are such as a text or a series may
/// have, or 1 where the model does not take these.
pub fn made_up(engine: &Engine) -> Vec<Tensor> {
    let usual = rows_of(&engine.inputs, USUAL_SIZE);
    if engine.run(&usual).is_ok() { usual } else { rows_of(&engine.inputs, 1) }
}

/// Two different rows whose other sizes that vary are `size`.
fn rows_of(specs: &[Spec], size: i64) -> Vec<Tensor> {
    let tensor = |spec: &Spec| {
        let size = |place: usize, dim: &Dim| match dim {
            Dim::Fixed(size) => *size,
            _ if place == 0 => 2,
            _ => size,
        };
        let shape: Vec<i64> = spec.dims.iter().enumerate().map(|(place, dim)| size(place, dim)).collect();
        let count = elements(&shape).unwrap_or_default();
        Tensor { datatype: spec.datatype, data: data(spec.datatype, count), shape }
    };
    specs.iter().map(tensor).collect()
}

/// Small numbers of which no two neighbours are the same; whole ones are 0 and 1, since they may be places in a table.
fn data(datatype: Datatype, count: usize) -> Data {
    let real = |place: usize| (place * 7 % 11) as f32 / 11.0 - 0.5;
    let whole = |place: usize| (place % 2) as u8;
    let Some(size) = datatype.size() else { return Data::Texts(vec![Bytes::new(); count]) };
    let raw = (0..count).flat_map(|place| match datatype {
        Datatype::Fp64 => f64::from(real(place)).to_le_bytes().to_vec(),
        Datatype::Fp32 => real(place).to_le_bytes().to_vec(),
        Datatype::Fp16 => half::f16::from_f32(real(place)).to_le_bytes().to_vec(),
        Datatype::Bf16 => half::bf16::from_f32(real(place)).to_le_bytes().to_vec(),
        _ => [vec![whole(place)], vec![0; size - 1]].concat(),
    });
    Data::Fixed(raw.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(times: &[(usize, u64)]) -> (usize, bool) {
        let times: Vec<_> = times.iter().map(|(size, micros)| (*size, Duration::from_micros(*micros))).collect();
        let plan = choose(&times);
        (plan.most_rows, plan.is_short)
    }

    #[test]
    fn the_size_of_a_batch() {
        assert_eq!(chosen(&[(1, 6), (2, 7), (4, 9), (8, 13)]), (8, true), "each size helps");
        assert_eq!(chosen(&[(1, 20_000), (2, 40_000)]), (1, false), "none does");
        assert_eq!(chosen(&[(1, 1000), (2, 1200), (4, 2390), (8, 4780)]), (2, false), "two do, more do not");
        assert_eq!(chosen(&[]), (1, false));
    }

    #[test]
    fn rows_are_repeated() {
        let tensor = Tensor {
            datatype: Datatype::Uint8,
            shape: vec![2, 2],
            data: Data::Fixed(Bytes::from_static(&[1, 2, 3, 4])),
        };
        let found = repeated(&tensor, 3);
        assert_eq!((found.shape, found.data), (vec![3, 2], Data::Fixed(Bytes::from_static(&[1, 2, 3, 4, 1, 2]))));
        assert_eq!(taken(&tensor, 1).data, Data::Fixed(Bytes::from_static(&[3, 4])));
    }

    #[test]
    fn rows_are_made_up_for_every_datatype() {
        for datatype in Datatype::ALL {
            let dims = vec![Dim::Free, Dim::Fixed(3), Dim::Named("n".to_owned())];
            let [found] = &rows_of(&[Spec { name: "x".to_owned(), datatype, dims }], 5)[..] else { panic!("one") };
            assert_eq!(found.shape, [2, 3, 5]);
            let bytes = match &found.data {
                Data::Fixed(raw) => raw.len(),
                Data::Texts(texts) => texts.len(),
            };
            assert_eq!(bytes, 30 * datatype.size().unwrap_or(1));
        }
    }
}
