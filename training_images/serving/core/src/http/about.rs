//! What the server and its model say of themselves, as JSON.

use crate::about::{
    BACKEND, Configured, EXTENSIONS, NAME, PLATFORM, PROTOCOL, Statistics, configured, max_batch_size, sizes,
};
use crate::json::{write_text, write_whole};
use crate::metrics::Spent;
use crate::refusal::Refusal;
use crate::tensor::Spec;

pub fn server() -> String {
    let mut json = b"{\"name\":".to_vec();
    write_text(&mut json, NAME);
    json.extend_from_slice(b",\"version\":");
    write_text(&mut json, PROTOCOL);
    json.extend_from_slice(b",\"extensions\":");
    write_list(&mut json, EXTENSIONS, write_text);
    json.push(b'}');
    text(json)
}

pub fn metadata(model: &str, version: &str, inputs: &[Spec], outputs: &[Spec]) -> String {
    let mut json = b"{\"name\":".to_vec();
    write_text(&mut json, model);
    json.extend_from_slice(b",\"versions\":[");
    write_text(&mut json, version);
    json.extend_from_slice(b"],\"platform\":");
    write_text(&mut json, PLATFORM);
    json.extend_from_slice(b",\"inputs\":");
    write_list(&mut json, inputs, write_spec);
    json.extend_from_slice(b",\"outputs\":");
    write_list(&mut json, outputs, write_spec);
    json.push(b'}');
    text(json)
}

fn write_spec(json: &mut Vec<u8>, spec: &Spec) {
    json.extend_from_slice(b"{\"name\":");
    write_text(json, &spec.name);
    json.extend_from_slice(b",\"datatype\":");
    write_text(json, spec.datatype.name());
    json.extend_from_slice(b",\"shape\":");
    write_list(json, sizes(spec), write_whole);
    json.push(b'}');
}

/// The model's configuration as Triton has it.
pub fn config(model: &str, most_rows: usize, inputs: &[Spec], outputs: &[Spec]) -> String {
    let mut json = b"{\"name\":".to_vec();
    write_text(&mut json, model);
    json.extend_from_slice(b",\"platform\":");
    write_text(&mut json, PLATFORM);
    json.extend_from_slice(b",\"backend\":");
    write_text(&mut json, BACKEND);
    json.extend_from_slice(b",\"max_batch_size\":");
    write_whole(&mut json, max_batch_size(most_rows));
    for (name, specs) in [("input", inputs), ("output", outputs)] {
        json.extend_from_slice(format!(",\"{name}\":").as_bytes());
        write_list(&mut json, specs, |json, spec| write_configured(json, &configured(spec, most_rows)));
    }
    json.push(b'}');
    text(json)
}

fn write_configured(json: &mut Vec<u8>, tensor: &Configured<'_>) {
    json.extend_from_slice(b"{\"name\":");
    write_text(json, tensor.name);
    json.extend_from_slice(b",\"data_type\":");
    write_text(json, tensor.datatype.0);
    json.extend_from_slice(b",\"dims\":");
    write_list(json, tensor.sizes.iter().copied(), write_whole);
    json.push(b'}');
}

/// Statistics as Triton has them; what it counts and we do not is not there.
pub fn statistics(model: &str, version: &str, found: &Statistics) -> String {
    let mut json = b"{\"model_stats\":[{\"name\":".to_vec();
    write_text(&mut json, model);
    json.extend_from_slice(b",\"version\":");
    write_text(&mut json, version);
    for (name, value) in [
        ("last_inference", found.last_inference),
        ("inference_count", found.inferences),
        ("execution_count", found.executions),
    ] {
        json.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    json.extend_from_slice(b",\"inference_stats\":{");
    let each =
        [("success", found.success), ("fail", found.fail), ("queue", found.queue), ("compute_infer", found.compute)];
    for (place, (name, spent)) in each.into_iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let Spent { count, nanos } = spent;
        json.extend_from_slice(format!("{comma}\"{name}\":{{\"count\":{count},\"ns\":{nanos}}}").as_bytes());
    }
    json.extend_from_slice(b"},\"batch_stats\":[]}]}");
    text(json)
}

/// The one model that is there.
pub fn index(model: &str, version: &str, ready: Result<(), Refusal>) -> String {
    let mut json = b"[{\"name\":".to_vec();
    write_text(&mut json, model);
    json.extend_from_slice(b",\"version\":");
    write_text(&mut json, version);
    json.extend_from_slice(b",\"state\":");
    write_text(&mut json, if ready.is_ok() { "READY" } else { "UNAVAILABLE" });
    json.extend_from_slice(b",\"reason\":");
    write_text(&mut json, &ready.err().map_or_else(String::new, |refusal| refusal.message));
    json.extend_from_slice(b"}]");
    text(json)
}

pub fn ready(model: &str) -> String {
    let mut json = b"{\"name\":".to_vec();
    write_text(&mut json, model);
    json.extend_from_slice(b",\"ready\":true}");
    text(json)
}

fn text(json: Vec<u8>) -> String {
    String::from_utf8_lossy(&json).into_owned()
}

fn write_list<T>(json: &mut Vec<u8>, items: impl IntoIterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    json.push(b'[');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        write(json, item);
    }
    json.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Datatype, Dim};

    #[test]
    fn what_a_model_says_of_itself() {
        let spec = |name: &str, dims| Spec { name: name.to_owned(), datatype: Datatype::Fp32, dims };
        let inputs = [spec("x", vec![Dim::Free, Dim::Fixed(2)]), spec("z", vec![])];
        assert_eq!(
            metadata("hedge", "7", &inputs, &[]),
            concat!(
                r#"{"name":"hedge","versions":["7"],"platform":"onnxruntime_onnx","inputs":["#,
                r#"{"name":"x","datatype":"FP32","shape":[-1,2]},{"name":"z","datatype":"FP32","shape":[]}],"outputs":[]}"#
            )
        );
    }

    #[test]
    fn how_a_model_is_configured() {
        let spec = |name: &str, dims| Spec { name: name.to_owned(), datatype: Datatype::Fp32, dims };
        let inputs = [spec("x", vec![Dim::Free, Dim::Fixed(2)])];
        assert_eq!(
            config("hedge", 32, &inputs, &[]),
            concat!(
                r#"{"name":"hedge","platform":"onnxruntime_onnx","backend":"onnxruntime","max_batch_size":32,"#,
                r#""input":[{"name":"x","data_type":"TYPE_FP32","dims":[2]}],"output":[]}"#
            )
        );
    }

    #[test]
    fn what_was_done() {
        let found = Statistics { executions: 2, queue: Spent { count: 3, nanos: 4 }, ..Statistics::default() };
        let json = statistics("hedge", "7", &found);
        assert!(json.starts_with(r#"{"model_stats":[{"name":"hedge","version":"7","last_inference":0,"#), "{json}");
        assert!(json.contains(r#""execution_count":2,"inference_stats":{"success":{"count":0,"ns":0},"#), "{json}");
        assert!(json.contains(r#""queue":{"count":3,"ns":4}"#), "{json}");
    }
}
