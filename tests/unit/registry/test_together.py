"""One search for all who ask at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from modelcycle.errors import Refused, Unavailable
from modelcycle.registry import together
from modelcycle.registry.together import Together, pause


class Server:
    """Answers numbers below 100 with their double, when it is let go on."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.error: Exception | None = None

    async def ask(self, questions: tuple[int, ...]) -> Mapping[int, int]:
        self.asked.append(questions)
        await self.goes_on.wait()
        if self.error is not None:
            raise self.error
        return {question: 2 * question for question in questions if question < 100}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "SOONEST", 0.0)
    monkeypatch.setattr(together, "LATEST", 0.0)


async def test_all_who_ask_at_a_time_share_a_search() -> None:
    server = Server()
    questions: Together[int, int] = Together(server.ask, most=3)
    answers = await asyncio.gather(*(questions.answer(number) for number in (1, 2, 3, 2, 100)))
    assert answers == [2, 4, 6, 4, None]
    assert server.asked == [(1, 2, 3), (100,)]


async def test_an_answer_is_never_older_than_its_question() -> None:
    server = Server()
    questions: Together[int, int] = Together(server.ask)
    server.goes_on.clear()
    first = asyncio.create_task(questions.answer(1))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(questions.answer(1))
    await asyncio.sleep(0.01)
    server.goes_on.set()
    assert (await first, await second) == (2, 2)
    assert server.asked == [(1,), (1,)]


async def test_who_does_not_wait_any_more_takes_nothing_from_the_others() -> None:
    server = Server()
    questions: Together[int, int] = Together(server.ask)
    server.goes_on.clear()
    one, other = (asyncio.create_task(questions.answer(7)) for _ in range(2))
    await asyncio.sleep(0.01)
    one.cancel()
    server.goes_on.set()
    assert await other == 14
    assert one.cancelled() or await asyncio.gather(one, return_exceptions=True)


async def test_a_failure_is_everybodys_and_the_next_search_is_for_half_as_many() -> None:
    server = Server()
    questions: Together[int, int] = Together(server.ask, most=4)
    server.error = Unavailable("the answer is larger than 1 MiB")
    for _ in range(3):
        answers = await asyncio.gather(*(questions.answer(n) for n in range(4)), return_exceptions=True)
        assert answers == [server.error] * 4
    assert [len(batch) for batch in server.asked] == [4, 2, 1, 1, 1, 1, 1, 1]
    server.asked.clear()
    server.error = None
    for _ in range(2):
        await asyncio.gather(*(questions.answer(n) for n in range(4)))
    assert [len(batch) for batch in server.asked] == [1, 2, 1, 4], "and for more again when it went well"


async def test_a_refusal_has_nothing_to_do_with_how_many_asked() -> None:
    server = Server()
    questions: Together[int, int] = Together(server.ask, most=4)
    server.error = Refused("the token has expired")
    for _ in range(2):
        await asyncio.gather(*(questions.answer(n) for n in range(4)), return_exceptions=True)
    assert [len(batch) for batch in server.asked] == [4, 4]


@pytest.mark.parametrize(
    ("took", "seconds"),
    [
        pytest.param(0.001, 0.5, id="a server at leisure: twice a second"),
        pytest.param(0.2, 1.0, id="a busy one: a fifth of the time"),
        pytest.param(10.0, 3.0, id="but nobody waits for longer"),
    ],
)
def test_pause(monkeypatch: pytest.MonkeyPatch, took: float, seconds: float) -> None:
    monkeypatch.setattr(together, "SOONEST", 0.5)
    monkeypatch.setattr(together, "LATEST", 3.0)
    assert pause(took) == pytest.approx(seconds)
