from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from e2e.demo.player.days import Answer, Day, Entry, Journal, read_days
from e2e.demo.player.pace import Pace
from e2e.demo.player.replay import Replay
from e2e.demo.player.service import ReplayError, ServedModel

DAYS = [Day(f"2008-01-{n:02d}T21:00:00Z", (0.1, 0.2, 0.3, 0.4), float(n)) for n in range(1, 31)]


class World:
    """A model, a policy and a deployment, and everything that was done to them in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.labels = 0
        self.slept = 0
        self.lag = 0
        self.cycle: dict[str, Any] | None = None
        self.candidate: dict[str, Any] | None = None
        self.version = "1"
        self.fails_at: str | None = None

    def predict(self, day: Day) -> tuple[Answer, int]:
        if day.time == self.fails_at:
            raise ReplayError("the power went out")
        self.done.append(f"ask {day.time[8:10]}")
        return Answer(0.0, self.version, f"token {day.time[8:10]}"), 1

    def tell(self, token: str, label: float) -> str:
        self.done.append(f"tell {label:02.0f}")
        self.labels += 1
        return "accepted"

    def policy(self) -> dict[str, Any]:
        return {"evaluated": {"rows": self.labels if self.slept >= self.lag else 0}, "cycle": self.cycle}

    def deployment(self) -> dict[str, Any]:
        return {"candidate": self.candidate}

    def sleep(self, _seconds: float) -> None:
        self.done.append("wait")
        self.slept += 1

    def replay(self, journal: Path, days: list[Day]) -> None:
        Replay(self, Pace(self, self.sleep), Journal(journal)).run(days)


def test_a_label_comes_with_the_next_day_and_never_before_its_own_request(tmp_path: Path) -> None:
    world = World()
    world.replay(tmp_path / "journal", DAYS[:3])
    assert world.done == ["ask 01", "tell 01", "ask 02", "tell 02", "ask 03", "tell 03"]


def test_every_ten_days_the_policy_is_waited_for(tmp_path: Path) -> None:
    world = World()
    world.lag = 2
    world.replay(tmp_path / "journal", DAYS[:12])
    assert [i for i, what in enumerate(world.done) if what == "wait"] == [19, 20]
    assert world.done[18] == "ask 10"


@pytest.mark.parametrize("phase", ["Training", "Gate", "Challenger"])
def test_nothing_is_asked_while_a_training_or_its_gate_is_under_way(tmp_path: Path, phase: str) -> None:
    world = World()
    world.cycle = {"phase": phase}

    def sleep(_seconds: float) -> None:
        world.done.append("wait")
        if world.done.count("wait") == 3:
            world.cycle = None

    Replay(world, Pace(world, sleep), Journal(tmp_path / "journal")).run(DAYS[:12])
    assert world.done.index("wait") == world.done.index("ask 10") + 1
    assert world.done[world.done.index("ask 10") + 1 :][:4] == ["wait", "wait", "wait", "tell 10"]


def test_during_a_rollout_the_policy_and_the_deployment_look_at_each_day(tmp_path: Path) -> None:
    world = World()
    world.version = "2"
    world.cycle = {"phase": "Rollout"}
    world.candidate = {"version": "2", "readyReplicas": 1}
    world.replay(tmp_path / "journal", DAYS[:3])
    assert [what for what in world.done if not what.startswith("tell")] == [
        "ask 01", "wait", "ask 02", "wait", "ask 03", "wait",
    ]  # fmt: skip


def test_a_candidate_without_a_ready_pod_is_waited_for(tmp_path: Path) -> None:
    world = World()
    world.cycle = {"phase": "Rollout"}
    world.candidate = {"version": "2"}

    def sleep(_seconds: float) -> None:
        world.candidate = {"version": "2", "readyReplicas": 1}

    pace = Pace(world, sleep)
    pace.catch_up(0)
    assert world.candidate["readyReplicas"] == 1


def test_a_policy_that_never_looks_ends_the_replay_with_its_own_words(tmp_path: Path) -> None:
    world = World()
    world.lag = 10**9
    with pytest.raises(ReplayError, match="waited 900 s for 1 evaluated rows; the policy says: nothing"):
        world.replay(tmp_path / "journal", DAYS[:1])


def test_a_replay_that_was_ended_goes_on_where_it_was(tmp_path: Path) -> None:
    world, journal = World(), tmp_path / "journal"
    world.fails_at = DAYS[5].time
    with pytest.raises(ReplayError):
        world.replay(journal, DAYS[:10])
    with journal.open("a") as file:
        file.write('{"time": "2008-01-06T21:00:00Z", "lab')
    world.fails_at = None
    world.replay(journal, DAYS[:10])
    asked = [what for what in world.done if what.startswith("ask")]
    assert asked == [f"ask {n:02d}" for n in range(1, 11)]
    assert sorted(what for what in world.done if what.startswith("tell")) == [f"tell {n:02d}" for n in range(1, 11)]


def test_the_journal_keeps_the_latest_line_of_a_day(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    first = Entry("t", 1.0, 0.5, "1", "token")
    journal.write(first)
    journal.write(Entry("t", 1.0, 0.5, "1", "token", feedback="accepted"))
    assert Journal(tmp_path / "j").entries["t"].feedback == "accepted"


def test_days_are_read_from_the_table_both_ends_included(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    head = "time,known,sp500,nasdaq,sp500_before,nasdaq_before,oil\n"
    table.write_text(head + "".join(f"2008-01-0{n}T21:00:00Z,x,1,2,3,4,{n}\n" for n in range(1, 6)))
    days = list(read_days(table, "2008-01-02", "2008-01-04"))
    assert [day.label for day in days] == [2, 3, 4]
    assert days[0] == Day("2008-01-02T21:00:00Z", (1, 2, 3, 4), 2)


class Server(BaseHTTPRequestHandler):
    """Answers as the serving pods do; the first request of all meets a pod that is going away."""

    seen: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, body))
        if len(self.seen) == 1:
            return self._answer(503, {"error": "draining"})
        if self.path.endswith("infer"):
            outputs = [{"name": "prediction", "datatype": "FP32", "shape": [1], "data": [0.25]}]
            return self._answer(
                200, {"outputs": outputs, "model_version": "3", "parameters": {"feedback_token": ["abc"]}}
            )
        if body["feedback"][0]["token"] == "bad":
            return self._answer(400, {"error": "no such token"})
        return self._answer(200, {"accepted": 1, "results": ["accepted"]})

    def _answer(self, status: int, record: dict[str, Any]) -> None:
        content = json.dumps(record).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    seen: list[tuple[str, dict[str, Any]]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Server,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_protocol_is_spoken_and_a_pod_that_goes_away_is_asked_again() -> None:
    with serving() as (url, seen):
        model = ServedModel(url, "energy-desk.hedge")
        answer, tries = model.predict(DAYS[0])
        assert (answer, tries) == (Answer(0.25, "3", "abc"), 2)
        assert model.tell("abc", 1.5) == "accepted"
    path, body = seen[1]
    assert path == "/v2/models/energy-desk.hedge/infer"
    assert body["parameters"] == {"event_time": DAYS[0].time}
    assert body["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [0.1, 0.2, 0.3, 0.4]}]
    assert seen[2] == ("/v2/models/energy-desk.hedge/feedback", {"feedback": [{"token": "abc", "label": 1.5}]})


def test_a_request_that_the_server_refuses_is_not_repeated() -> None:
    with serving() as (url, seen):
        model = ServedModel(url, "energy-desk.hedge")
        model.predict(DAYS[0])
        with pytest.raises(ReplayError, match=r"status 400: .*no such token"):
            model.tell("bad", 1.0)
        assert len(seen) == 3
