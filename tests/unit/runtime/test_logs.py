from __future__ import annotations

import json
import logging
import sys

import pytest

from modelcycle.runtime.logs import JsonFormatter, TextFormatter, working_on
from tests.unit.runtime.builders import TRAINING


def record(message: str = "made %d Jobs", *arguments: object, error: bool = False) -> logging.LogRecord:
    trace = None
    if error:
        try:
            raise ValueError("oops")
        except ValueError:
            trace = sys.exc_info()
    return logging.LogRecord("modelcycle.x", logging.INFO, __file__, 1, message, arguments or (3,), trace)


def test_a_line_is_one_json_object_that_says_which_pass_it_belongs_to() -> None:
    with working_on(TRAINING, "ab12"):
        text = JsonFormatter().format(record())
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == "made 3 Jobs"
    assert line["level"] == "INFO"
    assert (line["kind"], line["namespace"], line["name"], line["reconcile"]) == (
        "ModelTraining",
        "shop",
        "ranker",
        "ab12",
    )


def test_outside_of_a_pass_a_line_belongs_to_nobody() -> None:
    with working_on(TRAINING, "ab12"):
        pass
    assert "kind" not in json.loads(JsonFormatter().format(record()))


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_tracebacks_are_kept(formatter: logging.Formatter) -> None:
    assert "ValueError: oops" in formatter.format(record(error=True))


def test_text_is_for_people() -> None:
    with working_on(TRAINING, "ab12"):
        text = TextFormatter().format(record())
    assert text.endswith("INFO    made 3 Jobs [ModelTraining shop/ranker]")
