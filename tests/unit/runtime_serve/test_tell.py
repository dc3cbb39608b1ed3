from __future__ import annotations

from pathlib import Path

import pytest

from modelcycle_runtime.serve.settings import PayloadLog, Settings, parse_settings
from modelcycle_runtime.serve.tell import RotatingFile, resource_of


@pytest.mark.parametrize(
    ("batches", "old", "new"),
    [
        ([b"1\n"], None, b"1\n"),
        ([b"1\n", b"2\n"], None, b"1\n2\n"),
        ([b"1234567\n", b"8\n", b"9\n"], b"1234567\n8\n", b"9\n"),
        ([b"1234567\n", b"890\n"], b"1234567\n", b"890\n"),
        ([b"1\n2\n3\n4\n5\n6\n7\n"], b"1\n2\n3\n4\n5\n", b"6\n7\n"),
        ([b"longer than half\n", b"2\n"], b"longer than half\n", b"2\n"),
        ([b"1\n", b"longer than half\n2\n"], b"longer than half\n", b"2\n"),
    ],
)
def test_lines_beyond_half_of_what_may_be_kept_push_older_ones_out(
    tmp_path: Path, batches: list[bytes], old: bytes | None, new: bytes
) -> None:
    path = tmp_path / "folder" / "log"
    file = RotatingFile(PayloadLog(path, 1.0, 20))
    for batch in batches:
        file.write(batch)
    assert path.read_bytes() == new
    before = path.with_name("log.1")
    assert (before.read_bytes() if before.exists() else None) == old


def test_a_deployment_is_a_service() -> None:
    settings = parse_settings('{"modelDir": "/m", "model": "team.hedge", "version": "7", "deployment": "team/hedge"}')
    assert dict(resource_of(settings)) == {
        "service.name": "hedge",
        "service.namespace": "team",
        "service.version": "7",
        "modelcycle.model": "team.hedge",
    }
    assert ("service.name", "model") in resource_of(Settings(Path("/m")))
