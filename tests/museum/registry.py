"""MLflow's adapter without one of its guards."""

from __future__ import annotations

from typing import Any

from modelcycle.constants import TAG_OWNER
from modelcycle.errors import Unavailable
from modelcycle.outside import HttpEndpoint
from modelcycle.registry import aliases
from modelcycle.registry.answers import Answer, Nothing, RunsFound, VersionsFound
from modelcycle.registry.client import MlflowClient
from modelcycle.registry.port import AliasMoved
from tests.museum.exhibit import Bug, Exhibit, Patch, Suite

FILE = "registry/test_once.py"


def makes_runs_without_looking(patch: Patch) -> None:
    post = MlflowClient.post

    async def blind(self: MlflowClient, path: str, body: Any, expected: Any) -> Any:
        return RunsFound() if path == "runs/search" else await post(self, path, body, expected)

    patch.setattr(MlflowClient, "post", blind)


def registers_without_looking(patch: Patch) -> None:
    get = MlflowClient.get

    async def blind(self: MlflowClient, path: str, expected: Any, **params: str) -> Any:
        return VersionsFound() if path == "model-versions/search" else await get(self, path, expected, **params)

    patch.setattr(MlflowClient, "get", blind)


def sends_twice(patch: Patch) -> None:
    request = HttpEndpoint.request

    async def stubborn(self: HttpEndpoint, *args: Any, **more: Any) -> Any:
        try:
            return await request(self, *args, **more)
        except Unavailable:
            return await request(self, *args, **more)

    patch.setattr(HttpEndpoint, "request", stubborn)


def takes_any_answer_for_nothing_found(patch: Patch) -> None:
    parsed: Any = Answer.parsed.__func__  # type: ignore[attr-defined]

    def lenient(cls: Any, payload: object) -> Any:
        found = parsed(cls, payload)
        return cls.model_construct() if found is None else found

    patch.setattr(Answer, "parsed", classmethod(lenient))


def claims_what_is_claimed(patch: Patch) -> None:
    async def claim(self: aliases.Aliases, effect: Any) -> str:
        body = {"name": effect.model, "key": TAG_OWNER, "value": effect.owner}
        await self._client.post("registered-models/set-tag", body, Nothing)
        return str(effect.owner)

    patch.setattr(aliases.Aliases, "claim", claim)


def moves_whatever_somebody_moved(patch: Patch) -> None:
    async def move(self: aliases.Aliases, effect: Any) -> AliasMoved:
        await self._write(effect.model, effect.alias, effect.to)
        return AliasMoved(effect.to, moved=True)

    patch.setattr(aliases.Aliases, "move", move)


EXHIBITS = (
    Exhibit(
        "search before a run is made",
        Bug.AMBIGUOUS,
        makes_runs_without_looking,
        Suite(FILE, "test_a_run_that_another_replica_made_is_found"),
    ),
    Exhibit(
        "search before a version is registered",
        Bug.AMBIGUOUS,
        registers_without_looking,
        Suite(FILE, "test_a_version_whose_answer_got_lost_is_found"),
    ),
    Exhibit("no POST twice", Bug.AMBIGUOUS, sends_twice, Suite(FILE, "test_what_may_have_been_done_is_not_sent_again")),
    Exhibit(
        "answers that are not MLflow's",
        Bug.MALFORMED,
        takes_any_answer_for_nothing_found,
        Suite(FILE, "test_an_answer_of_somebody_else_leads_to_no_run"),
    ),
    Exhibit("owner of a model", Bug.FOREIGN, claims_what_is_claimed, Suite(FILE, "test_of_two_that_claim_a_model")),
    Exhibit(
        "alias as it was when the move was decided",
        Bug.ROLLED_FORWARD,
        moves_whatever_somebody_moved,
        Suite(FILE, "test_an_alias_that_somebody_moved_meanwhile_stays"),
    ),
)
