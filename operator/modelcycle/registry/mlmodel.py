"""What a logged model says of itself: the file ``MLmodel``, and the baseline beside it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.cyaml import CParser  # type: ignore[attr-defined]
from yaml.nodes import MappingNode
from yaml.resolver import Resolver

from modelcycle.core.text import clip
from modelcycle.errors import Unusable

MLMODEL = "MLmodel"
BASELINE = "baseline.json"
MALFORMED = "ModelMalformed"


class _Loader(Composer, CParser, SafeConstructor, Resolver):
    """A SafeLoader whose text is read by libyaml, six times as fast as in Python.

    Not ``CSafeLoader``: that one also composes in C, and a file that is nested deeply enough ends the process. Merge
    keys (``<<``), which MLflow never writes, are refused: some hundred bytes of them grow into gigabytes.
    """

    def __init__(self, stream: bytes) -> None:
        CParser.__init__(self, stream)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def flatten_mapping(self, node: MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise ConstructorError(None, None, "merge keys are not read", node.start_mark)


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """``onnx_file``: path of the ONNX file below the model's folder; None for a model without an ONNX flavour."""

    flavors: tuple[str, ...]
    onnx_file: str | None
    signed: bool


def described(content: bytes, where: str) -> ModelDescription:
    """Read an ``MLmodel`` file. Raises ``Unusable`` (ModelMalformed); ``where`` names the file for the message."""
    try:
        fields = _Loader(content).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError) as error:  # the last ones: of tags
        raise Unusable(MALFORMED, f"{where} is not YAML: {clip(str(error), 200)}") from error
    flavors = fields.get("flavors") if isinstance(fields, dict) else None
    if not isinstance(flavors, dict):
        raise Unusable(MALFORMED, f"{where} names no flavors: log the model with mlflow.onnx.log_model")
    signature = fields.get("signature")
    return ModelDescription(
        flavors=tuple(sorted(str(name) for name in flavors)),
        onnx_file=_onnx_file(flavors, where),
        signed=isinstance(signature, dict) and bool(signature.get("inputs")) and bool(signature.get("outputs")),
    )


def require_servable(model: ModelDescription, where: str) -> str:
    """The path of its ONNX file. Raises ``Unusable``: UnsupportedFlavor, SignatureMissing."""
    if model.onnx_file is None:
        raise unsupported_flavor(where, model.flavors)
    if not model.signed:
        raise Unusable(
            "SignatureMissing",
            f"{where} has no signature with inputs and outputs: give one to mlflow.onnx.log_model (infer_signature)",
        )
    return model.onnx_file


def unsupported_flavor(where: str, flavors: Sequence[str]) -> Unusable:
    return Unusable(
        "UnsupportedFlavor",
        f"{where} has the flavors {clip(', '.join(flavors), 200)}, but only ONNX is served: "
        "export it to ONNX and log it with mlflow.onnx.log_model",
    )


def mean_loss(content: bytes) -> str | None:
    """``loss.mean`` of a ``baseline.json`` as a decimal with 12 digits after the point; None when it names no loss.

    Raises ``Unusable`` (ModelMalformed) for a file that is not a baseline.
    """
    try:
        baseline = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unusable(MALFORMED, f"{BASELINE} is not JSON: {clip(str(error), 200)}") from error
    if not isinstance(baseline, dict):
        raise Unusable(MALFORMED, f"{BASELINE} is not a JSON object")
    loss = baseline.get("loss")
    if loss is None:
        return None
    mean = loss.get("mean") if isinstance(loss, dict) else None
    if isinstance(mean, bool) or not isinstance(mean, int | float) or not math.isfinite(mean) or abs(mean) >= 1e12:
        raise Unusable(MALFORMED, f"{BASELINE}: loss.mean must be a finite number below 1e12")
    return f"{mean:.12f}".rstrip("0").rstrip(".")


def _onnx_file(flavors: Mapping[str, Any], where: str) -> str | None:
    if "onnx" not in flavors:
        return None
    onnx = flavors["onnx"]
    file = onnx.get("data") if isinstance(onnx, dict) else None
    if not isinstance(file, str) or not file:
        raise Unusable(MALFORMED, f"{where}: the onnx flavor names no data file")
    return file
