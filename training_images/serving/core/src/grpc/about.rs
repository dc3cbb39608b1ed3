//! What the server and its model say of themselves by gRPC.

use bytes::Bytes;
use prost::Message;

use super::{SERVICE, framed, malformed, unframed};
use crate::about::{
    BACKEND, EXTENSIONS, NAME, PLATFORM, PROTOCOL, Statistics, configured, max_batch_size, sizes, statistics,
};
use crate::metrics::Spent;
use crate::protocol::{
    ConfigResponse, ConfiguredInput, ConfiguredOutput, IndexResponse, Indexed, InferStatistics, Live, ModelConfig,
    ModelMetadata, ModelNamed, ModelStatistics, Ready, ServerMetadata, StatisticsResponse, TensorMetadata, TimeSpent,
};
use crate::refusal::Refusal;
use crate::tensor::Spec;
use crate::worker::Shared;

/// The answer to a call of `method` that is no inference.
pub fn answer(shared: &Shared, method: &str, body: &Bytes) -> Result<Bytes, Refusal> {
    let of_model = || {
        let asked = ModelNamed::decode(unframed(body)?).map_err(malformed)?;
        check_model(shared, &asked.name, &asked.version)
    };
    Ok(match method {
        "ServerLive" => framed(&Live { live: true }),
        "ServerReady" => framed(&Ready { ready: shared.state.check_ready().is_ok() }),
        "ServerMetadata" => framed(&ServerMetadata {
            name: NAME.to_owned(),
            version: PROTOCOL.to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        }),
        "ModelReady" => {
            of_model()?;
            framed(&Ready { ready: shared.state.check_ready().is_ok() })
        }
        "ModelMetadata" => {
            of_model()?;
            framed(&metadata(shared))
        }
        "ModelConfig" => {
            of_model()?;
            framed(&ConfigResponse { config: Some(config(shared)) })
        }
        "ModelStatistics" => {
            let asked = ModelNamed::decode(unframed(body)?).map_err(malformed)?;
            // Without a name those of all models are asked for.
            if !asked.name.is_empty() {
                check_model(shared, &asked.name, &asked.version)?;
            }
            framed(&StatisticsResponse { models: vec![counted(shared, &statistics(&shared.metrics))] })
        }
        "RepositoryIndex" => framed(&IndexResponse { models: vec![indexed(shared)] }),
        _ => return Err(Refusal::new(405, format!("{method} is not served; {SERVICE}ModelInfer is"))),
    })
}

pub fn check_model(shared: &Shared, name: &str, version: &str) -> Result<(), Refusal> {
    if name != shared.model {
        return Err(Refusal::new(404, format!("model '{name}' is not served here; {} is", shared.model)));
    }
    if !version.is_empty() && version != shared.version {
        return Err(Refusal::new(404, format!("version '{version}' is not served here; {} is", shared.version)));
    }
    Ok(())
}

fn metadata(shared: &Shared) -> ModelMetadata {
    let described = |spec: &Spec| TensorMetadata {
        name: spec.name.clone(),
        datatype: spec.datatype.name().to_owned(),
        shape: sizes(spec).collect(),
    };
    ModelMetadata {
        name: shared.model.clone(),
        versions: vec![shared.version.clone()],
        platform: PLATFORM.to_owned(),
        inputs: shared.engine.inputs.iter().map(described).collect(),
        outputs: shared.engine.outputs.iter().map(described).collect(),
    }
}

fn config(shared: &Shared) -> ModelConfig {
    let configured = |spec| configured(spec, shared.most_rows);
    ModelConfig {
        name: shared.model.clone(),
        platform: PLATFORM.to_owned(),
        backend: BACKEND.to_owned(),
        max_batch_size: max_batch_size(shared.most_rows),
        inputs: shared
            .engine
            .inputs
            .iter()
            .map(configured)
            .map(|one| ConfiguredInput { name: one.name.to_owned(), datatype: one.datatype.1, sizes: one.sizes })
            .collect(),
        outputs: shared
            .engine
            .outputs
            .iter()
            .map(configured)
            .map(|one| ConfiguredOutput { name: one.name.to_owned(), datatype: one.datatype.1, sizes: one.sizes })
            .collect(),
    }
}

fn counted(shared: &Shared, found: &Statistics) -> ModelStatistics {
    let spent = |Spent { count, nanos }| Some(TimeSpent { count, nanos });
    ModelStatistics {
        name: shared.model.clone(),
        version: shared.version.clone(),
        last_inference: found.last_inference,
        inferences: found.inferences,
        executions: found.executions,
        spent: Some(InferStatistics {
            success: spent(found.success),
            fail: spent(found.fail),
            queue: spent(found.queue),
            compute: spent(found.compute),
        }),
    }
}

fn indexed(shared: &Shared) -> Indexed {
    let ready = shared.state.check_ready();
    Indexed {
        name: shared.model.clone(),
        version: shared.version.clone(),
        state: if ready.is_ok() { "READY" } else { "UNAVAILABLE" }.to_owned(),
        reason: ready.err().map_or_else(String::new, |refusal| refusal.message),
    }
}
