"""Every resource in tests/invalid is refused by the API server itself, with a message that names the field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.integration.api.client import RefusedError, ResourceClient

INVALID = Path(__file__).parents[2] / "invalid"
FILES = sorted(INVALID.glob("*/*.yaml"))
MARK = "# must name: "


def test_there_are_invalid_resources_of_every_kind() -> None:
    assert {file.parent.name for file in FILES} == {"modeltraining", "modeldeployment", "retrainpolicy"}
    assert len(FILES) >= 40


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_is_refused_with_a_message_that_names_the_field(file: Path, resources: ResourceClient) -> None:
    first_line, rest = file.read_text(encoding="utf-8").split("\n", 1)
    field = first_line.removeprefix(MARK)
    with pytest.raises(RefusedError) as refused:
        resources.try_out(yaml.safe_load(rest))
    assert field in str(refused.value)
    assert field != first_line, f"the first line must be {MARK!r} and the field"
