"""What a load is sent to, as its URL says."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from modelcycle_client.errors import InvalidInput
from modelcycle_client.protocol import model_path

INFER = "/inference.GRPCInferenceService/ModelInfer"
_PORTS = {"http": 80, "grpc": 8080}
_MODELS = "/v2/models/"


@dataclass(frozen=True, slots=True)
class Target:
    """A path of HTTP/1.1, or a method of gRPC without TLS; ``model`` is None where another protocol is spoken."""

    authority: str
    is_grpc: bool
    path: str
    model: str | None


def parse_target(url: str, model: str | None) -> Target:
    """Where ``url`` leads: to inference of the model that it or ``model`` names, or to any other path.

    Raises:
        InvalidInput: no load can be sent there; the message says what can.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InvalidInput(f"{url}: must be http://HOST:PORT/... or grpc://HOST:PORT/...; TLS is not spoken here")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = f"{host}:{parts.port or _PORTS[parts.scheme]}"
    path = parts.path.rstrip("/")
    if path.startswith(_MODELS) and path.count("/") == _MODELS.count("/"):
        model, path = model or unquote(path.removeprefix(_MODELS)), ""
    is_grpc = parts.scheme == "grpc"
    if path:
        path += f"?{parts.query}" if parts.query else ""
    elif is_grpc:
        path = INFER
    else:
        path = "/" if model is None else f"{model_path(model)}/infer"
    return Target(authority, is_grpc, path, model)
