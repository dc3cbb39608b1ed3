//! `/invocations`, for those who come from `mlflow models serve`: a data frame or tensors, their types not said.
//!
//! What a request means is what MLflow's ONNX flavour makes of it: a frame's columns are the features of a model with one
//! input, or the inputs of one with several, and its answer is a list of records; tensors are answered by tensors.

use bytes::Bytes;

use crate::answer::{Signed, write_data, write_tokens};
use crate::json::{Cursor, Kind, write_text};
use crate::limits::Held;
use crate::parameters::Parameters;
use crate::refusal::Refusal;
use crate::request::{Timed, read_timed};
use crate::sent::{check_fit, keep};
use crate::tensor::{Data, Spec, Tensor, check_names};
use crate::values;

mod csv;
mod frame;

use frame::Frame;

/// A request as far as it is understood without the model's answer.
#[derive(Debug, PartialEq)]
pub struct Asked {
    /// In the order of the model's inputs.
    pub inputs: Vec<Tensor>,
    pub rows: usize,
    pub timed: Timed,
    /// It came as a frame, and is answered as one.
    pub is_frame: bool,
}

/// What is known of the model.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub inputs: &'a [Spec],
    /// Names of the features in the order of the one input; empty where nothing names them.
    pub columns: &'a [String],
}

const FORMS: [&str; 4] = ["dataframe_split", "dataframe_records", "instances", "inputs"];

/// Reads the request in `body`, which is of the media type `kind`. `now` is in nanoseconds since 1970.
pub fn read(known: Known<'_>, kind: &[u8], body: &[u8], now: i64, held: &mut Held) -> Result<Asked, Refusal> {
    let kind = String::from_utf8_lossy(kind).to_ascii_lowercase();
    let (kind, more) = kind.split_once(';').unwrap_or((&kind, ""));
    if !matches!(more.trim(), "" | "charset=utf-8") {
        return Err(Refusal::new(415, format!("Content-Type: '{}' is not read; send UTF-8", more.trim())));
    }
    match kind.trim() {
        "text/csv" => {
            let tensors = csv::read(body, held)?.tensors("csv", known, held)?;
            asked(known, tensors, None, now, true)
        }
        // What is not said to be something else: curl's forms too.
        "" | "application/json" | "application/x-www-form-urlencoded" => read_json(known, body, now, held),
        other => {
            Err(Refusal::new(415, format!("Content-Type: {other} is not read; application/json and text/csv are")))
        }
    }
}

fn read_json(known: Known<'_>, json: &[u8], now: i64, held: &mut Held) -> Result<Asked, Refusal> {
    let mut found: [Option<&[u8]>; FORMS.len()] = [None; FORMS.len()];
    let mut params = None;
    let mut cursor = Cursor::new(json);
    if cursor.kind()? != Kind::Object {
        cursor.skip()?;
        cursor.end()?;
        return Err(one_form());
    }
    cursor.object(|cursor, name| match FORMS.iter().position(|form| *form == name) {
        Some(place) => keep(cursor, &mut found[place]),
        None if name == "params" => keep(cursor, &mut params),
        None => Ok(cursor.skip().map(drop)?),
    })?;
    cursor.end()?;
    let (tensors, is_frame) = match found {
        [Some(split), None, None, None] => (Frame::split(split, held)?.tensors(FORMS[0], known, held)?, true),
        [None, Some(records), None, None] => {
            (Frame::records(FORMS[1], records, held)?.tensors(FORMS[1], known, held)?, true)
        }
        [None, None, Some(rows), None] if holds_objects(rows)? => {
            (Frame::records(FORMS[2], rows, held)?.tensors(FORMS[2], known, held)?, false)
        }
        [None, None, Some(rows), None] => (tensors(FORMS[2], known, rows, held)?, false),
        [None, None, None, Some(inputs)] => (tensors(FORMS[3], known, inputs, held)?, false),
        _ => return Err(one_form()),
    };
    asked(known, tensors, params, now, is_frame)
}

fn one_form() -> Refusal {
    Refusal::bad(format!("body: must be an object with exactly one of {}", FORMS.join(", ")))
}

fn asked(
    known: Known<'_>,
    inputs: Vec<Tensor>,
    params: Option<&[u8]>,
    now: i64,
    is_frame: bool,
) -> Result<Asked, Refusal> {
    check_names(known.inputs, &inputs)?;
    let rows = inputs.first().map_or(1, Tensor::rows);
    let timed = read_timed(&Parameters::read_of("params", params)?, rows, now)?;
    Ok(Asked { inputs, rows, timed, is_frame })
}

fn holds_objects(list: &[u8]) -> Result<bool, Refusal> {
    let mut cursor = Cursor::new(list);
    Ok(cursor.take(b'[') && cursor.peek() == Some(b'{'))
}

/// Tensors as nested lists: the one of a model with one input, or an object with one for each input.
fn tensors(form: &str, known: Known<'_>, raw: &[u8], held: &mut Held) -> Result<Vec<Tensor>, Refusal> {
    let mut cursor = Cursor::new(raw);
    let mut found: Vec<Option<&[u8]>> = vec![None; known.inputs.len()];
    match (cursor.kind()?, known.inputs) {
        (Kind::Object, _) => {
            cursor.object(|cursor, name| match known.inputs.iter().position(|spec| spec.name == name) {
                Some(place) => keep(cursor, &mut found[place]),
                None => {
                    Err(Refusal::bad(format!("{form}: '{name}' is no input of the model; it has {}", names(known))))
                }
            })?
        }
        (Kind::List, [_]) => found[0] = Some(raw),
        (Kind::List, _) => return Err(Refusal::bad(format!("{form}: must be an object with {}", names(known)))),
        _ => return Err(Refusal::bad(format!("{form}: must be a list or an object"))),
    }
    let each = known.inputs.iter().zip(found);
    each.map(|(spec, raw)| {
        let raw = raw.ok_or_else(|| Refusal::bad(format!("{form}: {} is missing", spec.name)))?;
        tensor(form, spec, raw, false, held)
    })
    .collect()
}

fn names(known: Known<'_>) -> String {
    known.inputs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// A tensor of `spec` from nested lists. Those of a `column` may have one value a row where the model takes `[n, 1]`.
fn tensor(form: &str, spec: &Spec, list: &[u8], column: bool, held: &mut Held) -> Result<Tensor, Refusal> {
    let field = || format!("{form} ({})", spec.name);
    let mut cursor = Cursor::new(list);
    if cursor.kind()? != Kind::List {
        return Err(Refusal::bad(format!("{}: must be a list", field())));
    }
    let values = values::read(&mut cursor, spec.datatype, 0, held, field)?;
    let mut shape: Vec<i64> = values.sizes.iter().map(|size| *size as i64).collect();
    if column && shape.len() == 1 && spec.dims.len() == 2 {
        shape.push(1);
    }
    check_fit(&field(), spec, &shape)?;
    Ok(Tensor { datatype: spec.datatype, shape, data: values.data })
}

/// The answer as MLflow's server has it, and the tokens as those of the Open Inference Protocol.
pub fn write(signed: &Signed<'_>, specs: &[Spec], outputs: &[Tensor], is_frame: bool) -> Result<Vec<u8>, Refusal> {
    let mut json = b"{\"predictions\":".to_vec();
    if is_frame {
        write_records(&mut json, specs, outputs)?
    } else {
        write_tensors(&mut json, specs, outputs)
    }
    write_tokens(&mut json, signed.tokens);
    json.push(b'}');
    Ok(json)
}

/// One record for each element of the outputs, which are flattened.
fn write_records(json: &mut Vec<u8>, specs: &[Spec], outputs: &[Tensor]) -> Result<(), Refusal> {
    let count = outputs.first().map_or(0, Tensor::count);
    if outputs.iter().any(|output| output.count() != count) {
        let ask = "ask by inputs or instances";
        return Err(Refusal::bad(format!("dataframe: the outputs have different sizes, which make no frame; {ask}")));
    }
    json.push(b'[');
    for place in 0..count {
        json.extend_from_slice(if place > 0 { b",{" } else { b"{" });
        for (column, (spec, output)) in specs.iter().zip(outputs).enumerate() {
            if column > 0 {
                json.push(b',');
            }
            write_text(json, &spec.name);
            json.push(b':');
            write_data(json, &part(output, place, 1));
        }
        json.push(b'}');
    }
    json.push(b']');
    Ok(())
}

fn write_tensors(json: &mut Vec<u8>, specs: &[Spec], outputs: &[Tensor]) {
    json.push(b'{');
    for (place, (spec, output)) in specs.iter().zip(outputs).enumerate() {
        if place > 0 {
            json.push(b',');
        }
        write_text(json, &spec.name);
        json.push(b':');
        write_nested(json, output, 0, 0);
    }
    json.push(b'}');
}

/// The part of a tensor that begins at the element `start`, as lists nested from the axis `axis` on.
fn write_nested(json: &mut Vec<u8>, tensor: &Tensor, axis: usize, start: usize) {
    let Some((size, rest)) = tensor.shape.get(axis..).and_then(<[i64]>::split_first) else {
        return write_data(json, &part(tensor, start, 1));
    };
    json.push(b'[');
    if rest.is_empty() {
        write_data(json, &part(tensor, start, *size as usize));
    } else {
        let step = rest.iter().product::<i64>() as usize;
        for place in 0..*size as usize {
            if place > 0 {
                json.push(b',');
            }
            write_nested(json, tensor, axis + 1, start + place * step);
        }
    }
    json.push(b']');
}

/// So many elements, in the memory that they have.
fn part(tensor: &Tensor, start: usize, count: usize) -> Tensor {
    let data = match (&tensor.data, tensor.datatype.size()) {
        (Data::Fixed(raw), Some(size)) => Data::Fixed(raw.slice(start * size..(start + count) * size)),
        (Data::Texts(texts), _) => Data::Texts(texts[start..start + count].to_vec()),
        (Data::Fixed(_), None) => Data::Fixed(Bytes::new()),
    };
    Tensor { datatype: tensor.datatype, shape: vec![count as i64], data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_time::EventTimes;
    use crate::tensor::{Datatype, Dim};

    const NOW: i64 = 1_700_000_000_000_000_000;

    fn spec(name: &str, datatype: Datatype, dims: Vec<Dim>) -> Spec {
        Spec { name: name.to_owned(), datatype, dims }
    }

    fn x() -> Vec<Spec> {
        vec![spec("x", Datatype::Fp32, vec![Dim::Free, Dim::Fixed(2)])]
    }

    fn ab() -> Vec<Spec> {
        let column = || vec![Dim::Free, Dim::Fixed(1)];
        vec![spec("a", Datatype::Fp32, column()), spec("b", Datatype::Bytes, column())]
    }

    fn parse(inputs: &[Spec], columns: &[&str], kind: &str, body: &str) -> Result<Asked, String> {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        read(Known { inputs, columns: &columns }, kind.as_bytes(), body.as_bytes(), NOW, &mut Held::plenty())
            .map_err(|refusal| refusal.message)
    }

    /// Shape and numbers of the one input.
    fn numbers(columns: &[&str], kind: &str, body: &str) -> Result<(Vec<i64>, Vec<f32>), String> {
        let found = parse(&x(), columns, kind, body)?;
        let Data::Fixed(raw) = &found.inputs[0].data else { panic!("no texts") };
        let four = raw.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        Ok((found.inputs[0].shape.clone(), four.collect()))
    }

    #[test]
    fn all_forms_of_one_request() {
        for (kind, body) in [
            ("application/json", r#"{"dataframe_split":{"columns":["a","b"],"data":[[1,2],[3,4.5]]}}"#),
            ("", r#"{"dataframe_split":{"data":[[2,1],[4.5,3]],"index":[7,8],"columns":["b","a"]}}"#),
            ("application/json; charset=UTF-8", r#"{"dataframe_split":{"data":[[1,2],[3,4.5]]}}"#),
            ("application/json", r#"{"dataframe_records":[{"a":1,"b":2,"c":{}},{"c":[],"b":4.5,"a":3}]}"#),
            ("application/json", r#"{"instances":[[1,2],[3,4.5]]}"#),
            ("application/json", r#"{"inputs":[[1,2],[3,4.5]]}"#),
            ("application/json", r#"{"inputs":{"x":[[1,2],[3,4.5]]}}"#),
            ("application/json", r#"{"instances":[{"x":[1,2]},{"x":[3,4.5]}]}"#),
            ("text/csv", "a,b\n1,2\n3,4.5\n"),
            ("text/csv; charset=utf-8", "b,c,\"a\"\r\n2,\"x,\"\"y\"\"\",1\r\n4.5,,3"),
        ] {
            assert_eq!(numbers(&["a", "b"], kind, body), Ok((vec![2, 2], vec![1.0, 2.0, 3.0, 4.5])), "{body}");
        }
    }

    #[test]
    fn columns_that_nothing_names_are_taken_as_they_come() {
        let body = r#"{"dataframe_split":{"columns":["q","p"],"data":[[1,2]]}}"#;
        assert_eq!(numbers(&[], "", body), Ok((vec![1, 2], vec![1.0, 2.0])));
    }

    #[test]
    fn missing_values_are_nan() {
        for (kind, body) in [
            ("", r#"{"dataframe_records":[{"a":1,"b":null}]}"#),
            ("", r#"{"dataframe_records":[{"a":1,"b":2},{"a":1}]}"#),
            ("text/csv", "a,b\n1,\n"),
            ("text/csv", "a,b\n1,nan\n"),
        ] {
            let (_, found) = numbers(&["a", "b"], kind, body).unwrap();
            assert!(found.last().is_some_and(|value| value.is_nan()), "{body}");
        }
    }

    #[test]
    fn the_inputs_of_a_model_with_several_are_columns() {
        for (kind, body) in [
            ("", r#"{"dataframe_split":{"columns":["b","a"],"data":[["t",1],["u",2]]}}"#),
            ("", r#"{"dataframe_records":[{"a":1,"b":"t"},{"a":2,"b":"u"}]}"#),
            ("", r#"{"inputs":{"b":[["t"],["u"]],"a":[[1],[2]]}}"#),
            ("", r#"{"instances":[{"a":1,"b":"t"},{"a":2,"b":"u"}]}"#),
            ("text/csv", "a,b\n1,t\n2,u\n"),
        ] {
            let found = parse(&ab(), &[], kind, body).unwrap();
            assert_eq!(found.inputs[0].shape, [2, 1], "{body}");
            let texts = Data::Texts(vec![Bytes::from_static(b"t"), Bytes::from_static(b"u")]);
            assert_eq!(found.inputs[1].data, texts, "{body}");
        }
    }

    #[test]
    fn times_come_as_params() {
        let body = r#"{"inputs":[[1,2]],"params":{"event_time":"2008-09-15T00:00:00Z","priority":3}}"#;
        let found = parse(&x(), &[], "", body).unwrap();
        assert_eq!(found.timed.event_times, EventTimes::One(1_221_436_800_000_000_000));
        assert_eq!(found.timed.urgency.priority, 3);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (inputs, kind, body, said) in [
            (x(), "", "{", "body: not JSON"),
            (x(), "", "[1]", "body: must be an object with exactly one of dataframe_split, "),
            (x(), "", "{}", "body: must be an object with exactly one of"),
            (x(), "", r#"{"inputs":[],"instances":[]}"#, "body: must be an object with exactly one of"),
            (x(), "application/vnd.apache.parquet", "", "Content-Type: application/vnd.apache.parquet is not read"),
            (x(), "application/json; charset=latin1", "{}", "Content-Type: 'charset=latin1' is not read"),
            (x(), "", r#"{"dataframe_split":[1]}"#, "dataframe_split: must be an object with data"),
            (x(), "", r#"{"dataframe_split":{"columns":["a"]}}"#, "dataframe_split: must be an object with data"),
            (
                x(),
                "",
                r#"{"dataframe_split":{"columns":["a","b"],"data":[[1]]}}"#,
                "dataframe_split.data[0]: has 1 values for 2 columns",
            ),
            (
                x(),
                "",
                r#"{"dataframe_split":{"columns":["a","a"],"data":[[1,1]]}}"#,
                "dataframe_split.columns: 'a' is there twice",
            ),
            (x(), "", r#"{"dataframe_split":{"columns":["a"],"data":[[1]]}}"#, "dataframe_split: column b is missing"),
            (x(), "", r#"{"dataframe_records":{"a":1}}"#, "dataframe_records: must be a list of records"),
            (x(), "", r#"{"dataframe_records":[]}"#, "dataframe_records: has no rows"),
            (
                x(),
                "",
                r#"{"dataframe_records":[{"a":1,"b":2},{"a":1,"q":2}]}"#,
                "dataframe_records[1]: 'q' is no column of the first",
            ),
            (
                x(),
                "",
                r#"{"dataframe_records":[{"a":"one","b":2}]}"#,
                "dataframe_records (x).data: must be numbers or null",
            ),
            (x(), "", r#"{"inputs":[[1,2,3]]}"#, "inputs (x).shape: is [1, 3], the model takes x: FP32 [?, 2]"),
            (x(), "", r#"{"inputs":{"z":[1]}}"#, "inputs: 'z' is no input of the model; it has x"),
            (x(), "", r#"{"inputs":1}"#, "inputs: must be a list or an object"),
            (ab(), "", r#"{"inputs":[[1]]}"#, "inputs: must be an object with a, b"),
            (ab(), "", r#"{"inputs":{"a":[[1]]}}"#, "inputs: b is missing"),
            (ab(), "", r#"{"inputs":{"a":1,"b":[["t"]]}}"#, "inputs (a): must be a list"),
            (ab(), "", r#"{"dataframe_records":[{"a":1}]}"#, "dataframe_records: column b is missing"),
            (x(), "text/csv", "", "csv: has no header"),
            (x(), "text/csv", "a,b\n", "csv: has no rows"),
            (x(), "text/csv", "a,b\n1\n", "csv line 2: has 1 values for 2 columns"),
            (x(), "text/csv", "a,b\n\"1", "csv line 2: a quote is not closed"),
            (x(), "text/csv", "a,b\n1,x\n", "csv (x).data: must be numbers or null"),
        ] {
            let message = parse(&inputs, &["a", "b"], kind, body).unwrap_err();
            assert!(message.starts_with(said), "{body}: {message}");
        }
    }

    #[test]
    fn an_answer() {
        let specs =
            [spec("y", Datatype::Fp32, vec![Dim::Free, Dim::Fixed(1)]), spec("z", Datatype::Int8, vec![Dim::Free])];
        let floats = Bytes::from([1.5f32, f32::NAN].map(f32::to_le_bytes).concat());
        let outputs = [
            Tensor { datatype: Datatype::Fp32, shape: vec![2, 1], data: Data::Fixed(floats) },
            Tensor { datatype: Datatype::Int8, shape: vec![2], data: Data::Fixed(Bytes::from_static(&[1, 255])) },
        ];
        let signed = Signed { model: "m", version: "1", tokens: &[] };
        let text = |is_frame| String::from_utf8(write(&signed, &specs, &outputs, is_frame).unwrap()).unwrap();
        assert_eq!(text(true), r#"{"predictions":[{"y":1.5,"z":1},{"y":null,"z":-1}]}"#);
        assert_eq!(text(false), r#"{"predictions":{"y":[[1.5],[null]],"z":[1,-1]}}"#);
        let uneven = [outputs[0].clone(), part(&outputs[1], 0, 1)];
        assert!(write(&signed, &specs, &uneven, true).is_err());
    }
}
