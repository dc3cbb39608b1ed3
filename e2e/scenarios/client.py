"""A client inside of the cluster: the program that its pod runs, on the standard library alone.

::

    python - ask URL MODEL QUESTIONS     one request a row: versions, predictions, tokens
    python - tell URL MODEL [feedback]   feedback as it is given, what the server says to it
    python - load URL MODEL QUESTIONS    requests until /tmp/stop is there, or the time is up: what failed;
                                         meanwhile /tmp/answered has the number of answers

QUESTIONS is {"datatype": of all inputs, "rows": [{input: values}, ...]}. It prints one JSON object.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

STOP, ANSWERED = Path("/tmp/stop"), Path("/tmp/answered")
PAUSE_SECONDS = 0.05
LOAD_SECONDS = 1800.0
Json = dict[str, Any]


class Model:
    """The served model behind its Service. ``keep``: use a connection until the server closes it."""

    def __init__(self, url: str, name: str, *, keep: bool = False) -> None:
        self._host = urlsplit(url).hostname or ""
        self._path = f"/v2/models/{name}"
        self._keep = keep
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, datatype: str, row: dict[str, list[float]]) -> Json:
        inputs = [
            {"name": name, "datatype": datatype, "shape": [1, len(values)], "data": values}
            for name, values in row.items()
        ]
        return self.post("/infer", {"inputs": inputs})

    def post(self, path: str, body: Json) -> Json:
        connection = self._connection or http.client.HTTPConnection(self._host, 80, timeout=60)
        self._connection = None
        headers = {"Content-Type": "application/json"} | ({} if self._keep else {"Connection": "close"})
        connection.request("POST", self._path + path, json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        if self._keep and not response.will_close:
            self._connection = connection
        else:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise OSError(f"{response.status}: {content[:300].decode(errors='replace')}")
        found: Json = json.loads(content)
        return found


def ask(url: str, name: str, given: str) -> Json:
    questions = json.loads(given)
    answers = [Model(url, name).ask(questions["datatype"], row) for row in questions["rows"]]
    return {
        "versions": [answer["model_version"] for answer in answers],
        "predictions": [answer["outputs"][0]["data"][0] for answer in answers],
        "tokens": [answer.get("parameters", {}).get("feedback_token", [None])[0] for answer in answers],
    }


def tell(url: str, name: str, rows: str) -> Json:
    return Model(url, name).post("/feedback", {"feedback": json.loads(rows)})


def load(url: str, name: str, given: str) -> Json:
    questions = json.loads(given)
    datatype, row = questions["datatype"], questions["rows"][0]
    deadline = time.monotonic() + LOAD_SECONDS
    versions: Counter[str] = Counter()
    failures: list[str] = []

    def send(model: Model) -> None:
        while not STOP.exists() and time.monotonic() < deadline:
            try:
                versions[model.ask(datatype, row)["model_version"]] += 1
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
            time.sleep(PAUSE_SECONDS)

    senders = [threading.Thread(target=send, args=(Model(url, name, keep=keep),)) for keep in (False, False, True)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        ANSWERED.with_suffix(".new").write_text(str(sum(list(versions.values()))))
        ANSWERED.with_suffix(".new").rename(ANSWERED)
        time.sleep(4 * PAUSE_SECONDS)
    return {"versions": dict(versions), "failures": failures}


COMMANDS: dict[str, Callable[..., Json]] = {"ask": ask, "tell": tell, "load": load}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
