from __future__ import annotations

from pathlib import Path

import pytest

from modelcycle_runtime.errors import UserError
from modelcycle_runtime.losses import LossName
from modelcycle_runtime.serve.providers import Accelerator
from modelcycle_runtime.serve.settings import PayloadLog, Settings, Tolerance, Traces, parse_settings

CONTRACT = """{"model": "team.hedge", "version": "7", "modelDir": "/modelcycle/model", "deployment": "ns/hedge",
"feedbackKeyFile": "/modelcycle/feedback/key", "peers": "hedge-peers.ns.svc", "loss": "Pinball", "pinballQuantile": 0.9,
"duplicateWindowRows": 1000, "maxRequestsPerConnection": 10, "maxBodyBytes": 1024, "drainSeconds": 5,
"smoke": {"absoluteTolerance": "0.1", "relativeTolerance": "0.01"}, "cpus": 2, "digest": "abc",
"traces": {"endpoint": "http://collector:4318", "sampleRatio": "0.01"},
"payloadLog": {"path": "/tmp/payloads", "sampleRatio": "1", "maxBytes": 4000000}, "accelerator": "CUDA",
"cacheDir": "/cache"}"""


def test_the_settings_of_the_contract() -> None:
    assert parse_settings(CONTRACT) == Settings(
        model_dir=Path("/modelcycle/model"),
        model="team.hedge",
        version="7",
        digest="abc",
        deployment="ns/hedge",
        feedback_key_file=Path("/modelcycle/feedback/key"),
        peers="hedge-peers.ns.svc",
        loss=LossName.PINBALL,
        pinball_quantile=0.9,
        duplicate_window_rows=1000,
        max_requests_per_connection=10,
        max_body_bytes=1024,
        drain_seconds=5.0,
        smoke=Tolerance(0.1, 0.01),
        traces=Traces("http://collector:4318", 0.01),
        payload_log=PayloadLog(Path("/tmp/payloads"), 1.0, 4_000_000),
        cpus=2,
        accelerator=Accelerator.CUDA,
        cache_dir=Path("/cache"),
    )


def test_a_developer_names_a_folder_and_that_is_all() -> None:
    assert parse_settings('{"modelDir": "/tmp/m"}') == Settings(Path("/tmp/m"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("{", "not JSON", id="no JSON"),
        pytest.param("{}", "needs modelDir", id="no folder"),
        pytest.param('{"modelDir": "m", "version": "champion"}', "version: 'champion'", id="an alias for a version"),
        pytest.param('{"modelDir": "m", "version": 0}', "version: 0", id="version zero"),
        pytest.param('{"modelDir": "m", "loss": "Hinge"}', "loss: 'Hinge'", id="a loss that is none"),
        pytest.param('{"modelDir": "m", "smoke": {}}', "smoke: {}", id="no tolerances"),
        pytest.param(
            '{"modelDir": "m", "traces": {"endpoint": "collector:4317", "sampleRatio": "0"}}',
            "endpoint is the http or https address",
            id="no address",
        ),
        pytest.param(
            '{"modelDir": "m", "traces": {"endpoint": "http://c", "sampleRatio": "2"}}', "from 0 to 1", id="no share"
        ),
        pytest.param(
            '{"modelDir": "m", "payloadLog": {"path": "log", "sampleRatio": "1", "maxBytes": 3000000}}',
            "path is absolute",
            id="a path that is not absolute",
        ),
        pytest.param('{"modelDir": "m", "accelerator": "TPU"}', "accelerator: 'TPU'", id="no accelerator"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_settings(text)
