"""One search for all who ask at the same time: a search for fifty costs the server little more than one for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

from modelcycle.errors import Unavailable

MOST = 50
SOONEST = 0.1  # seconds from one search to the next: whoever asks when it is quiet does not wait
LATEST = 3.0
SHARE = 5  # a server that takes long for a search is searching for a fifth of the time at most, unless they are full

QuestionT = TypeVar("QuestionT", bound=Hashable)
AnswerT = TypeVar("AnswerT")


class Together(Generic[QuestionT, AnswerT]):
    """``ask`` gets up to ``most`` questions and gives the answers of those that have one.

    An answer is never older than its question: who asks while a search is under way waits for the next. What a failed
    search raises, all get who waited for it; the next one is for half as many, should the answer have been too large.
    """

    def __init__(
        self,
        ask: Callable[[tuple[QuestionT, ...]], Awaitable[Mapping[QuestionT, AnswerT]]],
        most: int = MOST,
    ) -> None:
        self._ask = ask
        self._most = self._now_most = most
        self._next = float("-inf")
        self._waiting: dict[QuestionT, asyncio.Future[AnswerT | None]] = {}
        self._work: asyncio.Task[None] | None = None

    async def answer(self, question: QuestionT) -> AnswerT | None:
        """None for a question that ``ask`` gave no answer to. Raises what ``ask`` raises."""
        loop = asyncio.get_running_loop()
        future = self._waiting.setdefault(question, loop.create_future())
        if self._work is None:
            self._work = loop.create_task(self._searches(), name="a search for several")
        # Others may wait for the same answer when this one is cancelled.
        return await asyncio.shield(future)

    async def _searches(self) -> None:
        try:
            while self._waiting:
                if self._now_most < self._most or len(self._waiting) < self._most:
                    await asyncio.sleep(max(0.0, self._next - _now()))  # a search that is full waits for nobody
                begun = _now()
                await self._search()
                self._next = begun + pause(_now() - begun)
        finally:
            self._work = None

    async def _search(self) -> None:
        questions = tuple(self._waiting)[: self._now_most]
        futures = {question: self._waiting.pop(question) for question in questions}
        try:
            answers = await self._ask(questions)
        except Exception as error:
            self._now_most = max(1, len(questions) // 2) if isinstance(error, Unavailable) else self._most
            for future in futures.values():
                future.set_exception(error)
                future.exception()  # seen: whoever asked may have been cancelled since
            return
        self._now_most = min(self._most, 2 * self._now_most)
        for question, future in futures.items():
            future.set_result(answers.get(question))


def pause(took: float) -> float:
    """Seconds from the beginning of a search that took so many to that of the next."""
    return min(LATEST, max(SOONEST, SHARE * took))


def _now() -> float:
    return asyncio.get_running_loop().time()
