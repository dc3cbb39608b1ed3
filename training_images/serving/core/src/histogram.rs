//! Live histograms of features and predictions, by the frozen edges of the version's baseline.
//!
//! Inner edges `e[0] < ... < e[k-1]` make k + 1 bins, and one more counts NaN: see `modelcycle_runtime.bins`. What is
//! added up is how many values reach each edge, all columns of a row at once; bins are the differences, made when they
//! are read.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use half::{bf16, f16};

use crate::log;
use crate::refusal::Refusal;
use crate::tensor::{Data, Datatype, Tensor, elements};

/// Features beyond are not counted: each has a series for every bin and replica.
pub const MAX_FEATURES: usize = 64;

/// Counts the columns of a matrix into their bins.
pub struct Counter {
    /// Columns that a matrix has; those beyond the edges are not counted.
    columns: usize,
    /// Inner edges of each counted column.
    sizes: Vec<usize>,
    /// Edge k of all counted columns, then edge k + 1. NaN, which no value reaches, where a column has fewer.
    edges: Vec<f64>,
    /// The same for single precision: the smallest float32 that reaches the edge, so that bins are the same.
    edges_single: Vec<f32>,
    totals: Mutex<Totals>,
}

#[derive(Clone)]
struct Totals {
    rows: u64,
    nan: Vec<u64>,
    reached: Vec<u64>,
    /// What one call adds, kept for its memory. No call has so many rows that it would overflow.
    nan_now: Vec<u32>,
    reached_now: Vec<u32>,
}

impl Counter {
    /// Of the first columns of a matrix that has `columns`; `edges` are the inner edges of each.
    pub fn new(edges: &[Vec<f64>], columns: usize) -> Counter {
        let counted = edges.len();
        let levels = edges.iter().map(Vec::len).max().unwrap_or_default();
        let mut by_level = vec![f64::NAN; levels * counted];
        for (column, edges) in edges.iter().enumerate() {
            for (level, edge) in edges.iter().enumerate() {
                by_level[level * counted + column] = *edge;
            }
        }
        Counter {
            columns,
            sizes: edges.iter().map(Vec::len).collect(),
            edges_single: by_level.iter().map(|edge| rounded_up(*edge)).collect(),
            totals: Mutex::new(Totals {
                rows: 0,
                nan: vec![0; counted],
                reached: vec![0; by_level.len()],
                nan_now: vec![0; counted],
                reached_now: vec![0; by_level.len()],
            }),
            edges: by_level,
        }
    }

    /// Columns that a matrix has to have.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Counts rows of float32, little-endian.
    pub fn count_single(&self, matrix: &[u8]) {
        let mut totals = self.totals();
        // One row at a time in a buffer of its own, so that the loops over it are over floats and can be vectorised.
        let mut row = [0f32; MAX_FEATURES];
        for bytes in matrix.chunks_exact(4 * self.columns) {
            for (value, four) in row[..self.sizes.len()].iter_mut().zip(bytes.chunks_exact(4)) {
                *value = f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            }
            totals.add(&row[..self.sizes.len()], &self.edges_single);
        }
        totals.settle((matrix.len() / (4 * self.columns)) as u64);
    }

    pub fn count(&self, matrix: &[f64]) {
        let mut totals = self.totals();
        for row in matrix.chunks_exact(self.columns) {
            totals.add(&row[..self.sizes.len()], &self.edges);
        }
        totals.settle((matrix.len() / self.columns) as u64);
    }

    /// Counts of each column's bins, the last of them for NaN.
    pub fn bins(&self) -> Vec<Vec<u64>> {
        let totals = self.totals().clone();
        let counted = self.sizes.len();
        self.sizes
            .iter()
            .enumerate()
            .map(|(column, size)| {
                let mut reached = vec![totals.rows - totals.nan[column]];
                reached.extend((0..*size).map(|level| totals.reached[level * counted + column]));
                let mut bins: Vec<u64> = reached.windows(2).map(|pair| pair[0] - pair[1]).collect();
                bins.extend(reached.last());
                bins.push(totals.nan[column]);
                bins
            })
            .collect()
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn add<T: PartialOrd + Copy>(&mut self, row: &[T], edges: &[T]) {
        #[expect(clippy::eq_op, reason = "NaN is what differs from itself")]
        for (count, value) in self.nan_now.iter_mut().zip(row) {
            *count += u32::from(value != value);
        }
        for (counts, edges) in self.reached_now.chunks_exact_mut(row.len()).zip(edges.chunks_exact(row.len())) {
            for ((count, value), edge) in counts.iter_mut().zip(row).zip(edges) {
                *count += u32::from(value >= edge);
            }
        }
    }

    fn settle(&mut self, rows: u64) {
        self.rows += rows;
        for (total, now) in self.nan.iter_mut().zip(&mut self.nan_now) {
            *total += u64::from(std::mem::take(now));
        }
        for (total, now) in self.reached.iter_mut().zip(&mut self.reached_now) {
            *total += u64::from(std::mem::take(now));
        }
    }
}

/// The smallest float32 that is no less than `edge`.
fn rounded_up(edge: f64) -> f32 {
    let near = edge as f32;
    if f64::from(near) < edge { near.next_up() } else { near }
}

/// The numbers of a tensor as f64; `None` where it has none.
pub fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let Data::Fixed(raw) = &tensor.data else { return None };
    macro_rules! read {
        ($type:ty, $as:expr) => {
            raw.chunks_exact(size_of::<$type>())
                .map(|bytes| $as(<$type>::from_le_bytes(bytes.try_into().unwrap_or_default())))
                .collect()
        };
    }
    Some(match tensor.datatype {
        Datatype::Bool | Datatype::Bytes => return None,
        Datatype::Uint8 => read!(u8, f64::from),
        Datatype::Uint16 => read!(u16, f64::from),
        Datatype::Uint32 => read!(u32, f64::from),
        Datatype::Uint64 => read!(u64, |value| value as f64),
        Datatype::Int8 => read!(i8, f64::from),
        Datatype::Int16 => read!(i16, f64::from),
        Datatype::Int32 => read!(i32, f64::from),
        Datatype::Int64 => read!(i64, |value| value as f64),
        Datatype::Fp16 => read!(f16, f64::from),
        Datatype::Bf16 => read!(bf16, f64::from),
        Datatype::Fp32 => read!(f32, f64::from),
        Datatype::Fp64 => read!(f64, f64::from),
    })
}

/// The features of rows: inputs in the model's order, each [n], [n, 1] or [n, k].
pub enum Matrix<'a> {
    /// Of the only input, as it came.
    Single(&'a [u8], usize),
    Double(Vec<f64>, usize),
}

impl Matrix<'_> {
    pub fn of(inputs: &[Tensor], rows: usize) -> Matrix<'_> {
        if let [Tensor { datatype: Datatype::Fp32, shape, data: Data::Fixed(raw) }] = inputs
            && !shape.is_empty()
            && rows > 0
        {
            return Matrix::Single(raw, raw.len() / 4 / rows);
        }
        let parts: Vec<Vec<f64>> = inputs
            .iter()
            .filter(|tensor| tensor.datatype.is_number() && !tensor.shape.is_empty() && tensor.rows() == rows)
            .filter_map(numbers)
            .collect();
        let width: usize = parts.iter().map(|part| part.len() / rows.max(1)).sum();
        let mut matrix = Vec::with_capacity(width * rows);
        for row in 0..rows {
            for part in &parts {
                let width = part.len() / rows;
                matrix.extend_from_slice(&part[row * width..(row + 1) * width]);
            }
        }
        Matrix::Double(matrix, width)
    }

    pub fn columns(&self) -> usize {
        match self {
            Matrix::Single(_, columns) | Matrix::Double(_, columns) => *columns,
        }
    }

    /// Counts it, if it has the columns that `counter` is for.
    pub fn count(&self, counter: &Counter) -> bool {
        if self.columns() != counter.columns() {
            return false;
        }
        match self {
            Matrix::Single(raw, _) => counter.count_single(raw),
            Matrix::Double(matrix, _) => counter.count(matrix),
        }
        true
    }

    /// The first column that has a NaN and none is allowed there.
    pub fn forbidden_nan(&self, allowed: &[bool]) -> Option<usize> {
        if self.columns() != allowed.len() {
            return None;
        }
        let is_wrong = |(place, value): (usize, f64)| value.is_nan() && !allowed[place % allowed.len()];
        let places: Vec<usize> = match self {
            Matrix::Single(raw, _) => {
                let values =
                    || raw.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
                // Nearly always there is none, and to know that is quick.
                if !values().fold(false, |found, value| found | value.is_nan()) {
                    return None;
                }
                values().map(f64::from).enumerate().filter(|one| is_wrong(*one)).map(|(place, _)| place).collect()
            }
            Matrix::Double(matrix, _) => {
                matrix.iter().copied().enumerate().filter(|one| is_wrong(*one)).map(|(place, _)| place).collect()
            }
        };
        places.into_iter().map(|place| place % allowed.len()).min()
    }
}

/// A column of the baseline.
pub struct Column {
    pub name: String,
    pub edges: Vec<f64>,
    /// Whether it was null at training.
    pub was_null: bool,
}

/// All histograms of a version.
pub struct Histograms {
    features: Option<Counter>,
    /// The features' names, and whether NaN is allowed, for all that the baseline has.
    names: Vec<String>,
    nullable: Vec<bool>,
    /// By the place of the output.
    predictions: Vec<(usize, Counter)>,
    misfit: AtomicBool,
}

impl Histograms {
    /// `predictions` are edges by the place of the output that they are of.
    pub fn new(features: Vec<Column>, predictions: Vec<(usize, Vec<f64>)>) -> Histograms {
        let edges: Vec<Vec<f64>> = features.iter().take(MAX_FEATURES).map(|one| one.edges.clone()).collect();
        Histograms {
            features: (!features.is_empty()).then(|| Counter::new(&edges, features.len())),
            nullable: features.iter().map(|one| one.was_null).collect(),
            names: features.into_iter().map(|one| one.name).collect(),
            predictions: predictions.into_iter().map(|(place, edges)| (place, Counter::new(&[edges], 1))).collect(),
            misfit: AtomicBool::new(false),
        }
    }

    /// Refuses null for a feature that never was null at training.
    pub fn check_nulls(&self, inputs: &[Tensor], rows: usize) -> Result<(), Refusal> {
        if self.nullable.is_empty() {
            return Ok(());
        }
        match Matrix::of(inputs, rows).forbidden_nan(&self.nullable) {
            Some(place) => {
                Err(Refusal::bad(format!("inputs: {} is null, and never was in the training data", self.names[place])))
            }
            None => Ok(()),
        }
    }

    /// Counts the rows of one run; what does not fit the baseline is said once, and not counted.
    pub fn count(&self, inputs: &[Tensor], outputs: &[Tensor], rows: usize) {
        if let Some(counter) = &self.features
            && !self.misfit.load(Relaxed)
        {
            let matrix = Matrix::of(inputs, rows);
            if !matrix.count(counter) && !self.misfit.swap(true, Relaxed) {
                log::warn(&format!(
                    "the baseline has {} features, the model {}: drift is not counted",
                    counter.columns(),
                    matrix.columns()
                ));
            }
        }
        for (place, counter) in &self.predictions {
            let output = &outputs[*place];
            if elements(&output.shape) == Some(output.rows())
                && !output.shape.is_empty()
                && let Some(values) = numbers(output)
            {
                counter.count(&values);
            }
        }
    }

    /// Counts by feature and bin, of the first [`MAX_FEATURES`]; none where the baseline is another model's.
    pub fn feature_bins(&self) -> Vec<Vec<u64>> {
        match &self.features {
            Some(counter) if !self.misfit.load(Relaxed) => counter.bins(),
            _ => Vec::new(),
        }
    }

    /// Counts by bin, for each of the predictions.
    pub fn prediction_bins(&self) -> Vec<Vec<u64>> {
        self.predictions.iter().flat_map(|(_, counter)| counter.bins()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const NAN: f64 = f64::NAN;

    fn raw(values: &[f64]) -> Vec<u8> {
        values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect()
    }

    #[test]
    fn rows_are_counted_by_column_and_bin() {
        let edges = [vec![0.0], vec![], vec![-1.0, 1.0]];
        let rows = [-1.0, 5.0, -1.0, 1.0, NAN, 0.0, 0.0, 1.0, f64::INFINITY, NAN, 1.0, f64::NEG_INFINITY];
        let expected = vec![vec![1, 2, 1], vec![3, 1], vec![1, 2, 1, 0]];
        for single in [false, true] {
            let counter = Counter::new(&edges, 3);
            if single {
                counter.count_single(&raw(&rows))
            } else {
                counter.count(&rows)
            }
            assert_eq!(counter.bins(), expected);
        }
    }

    #[test]
    fn counts_add_up_over_calls() {
        let counter = Counter::new(&[vec![0.5]], 1);
        counter.count(&[0.0, 1.0]);
        counter.count(&[1.0]);
        assert_eq!(counter.bins(), [[1, 2, 0]]);
    }

    #[test]
    fn columns_beyond_are_not_counted() {
        let counter = Counter::new(&[vec![]], 3);
        counter.count_single(&raw(&[1.0, 2.0, 3.0]));
        assert_eq!(counter.bins(), [[1, 0]]);
    }

    #[test]
    fn single_precision_has_the_same_bins() {
        for edge in [0.1, 1.0 / 3.0, -0.1, 1e-300, 5e-324, 16_777_217.0, 0.0, -1e-300] {
            let around = [edge as f32, (edge as f32).next_up(), (edge as f32).next_down()];
            for value in around {
                assert_eq!(f64::from(value) >= edge, value >= rounded_up(edge), "{value} {edge}");
            }
        }
    }

    fn tensor(datatype: Datatype, shape: &[i64], data: &[u8]) -> Tensor {
        Tensor { datatype, shape: shape.to_vec(), data: Data::Fixed(Bytes::copy_from_slice(data)) }
    }

    #[test]
    fn features_are_the_numbers_of_all_inputs_side_by_side() {
        let inputs = [
            tensor(Datatype::Uint8, &[2], &[1, 2]),
            tensor(Datatype::Bool, &[2], &[1, 1]),
            tensor(Datatype::Fp32, &[2, 2], &raw(&[3.0, 4.0, 5.0, 6.0])),
            tensor(Datatype::Int8, &[1], &[9]),
        ];
        let Matrix::Double(matrix, columns) = Matrix::of(&inputs, 2) else { panic!("not one input") };
        assert_eq!((matrix, columns), (vec![1.0, 3.0, 4.0, 2.0, 5.0, 6.0], 3));
    }

    #[test]
    fn null_where_there_was_none_is_found() {
        for inputs in [
            vec![tensor(Datatype::Fp32, &[2, 2], &raw(&[0.0, NAN, NAN, 1.0]))],
            vec![tensor(Datatype::Fp32, &[2], &raw(&[0.0, NAN])), tensor(Datatype::Fp32, &[2], &raw(&[NAN, 1.0]))],
        ] {
            let matrix = Matrix::of(&inputs, 2);
            assert_eq!(matrix.forbidden_nan(&[true, true]), None);
            assert_eq!(matrix.forbidden_nan(&[false, true]), Some(0));
            assert_eq!(matrix.forbidden_nan(&[true, false]), Some(1));
            assert_eq!(matrix.forbidden_nan(&[false]), None);
        }
    }

    #[test]
    fn a_baseline_of_another_model_is_not_counted() {
        let column = |name: &str| Column { name: name.to_owned(), edges: vec![0.0], was_null: false };
        let histograms = Histograms::new(vec![column("a"), column("b")], vec![(0, vec![1.0])]);
        let one = [tensor(Datatype::Fp32, &[1, 2], &raw(&[1.0, -1.0]))];
        let answer = [tensor(Datatype::Fp32, &[1, 1], &raw(&[2.0]))];
        histograms.count(&one, &answer, 1);
        assert_eq!(histograms.feature_bins(), [[0, 1, 0], [1, 0, 0]]);
        assert_eq!(histograms.prediction_bins(), [[0, 1, 0]]);
        histograms.count(&[tensor(Datatype::Fp32, &[1, 3], &raw(&[1.0; 3]))], &answer, 1);
        assert!(histograms.feature_bins().is_empty());
    }

    #[test]
    fn a_feature_that_is_null_is_named() {
        let column = |name: &str, was_null| Column { name: name.to_owned(), edges: vec![], was_null };
        let histograms = Histograms::new(vec![column("a", false), column("b", true)], vec![]);
        let row = |a, b| [tensor(Datatype::Fp32, &[1, 2], &raw(&[a, b]))];
        assert!(histograms.check_nulls(&row(1.0, NAN), 1).is_ok());
        let wrong = histograms.check_nulls(&row(NAN, 1.0), 1).unwrap_err();
        assert_eq!(wrong.message, "inputs: a is null, and never was in the training data");
    }
}
