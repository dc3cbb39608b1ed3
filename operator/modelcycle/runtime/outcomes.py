"""What came of the effects that plans asked for, for as long as their resource lives."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

from modelcycle.core.plan import Effect, Outcome, Outcomes

KEPT = 64  # of each resource; forgetting one is safe, since effects may be carried out twice
_NONE: Outcomes = MappingProxyType({})


class OutcomeBook:
    """By the uid of the resource, so that a namesake of a later life starts with an empty page."""

    def __init__(self) -> None:
        self._pages: dict[str, OrderedDict[Effect, Outcome]] = {}

    def of(self, uid: str) -> Outcomes:
        page: Mapping[Effect, Outcome] | None = self._pages.get(uid)
        return dict(page) if page else _NONE

    def get(self, uid: str, effect: Effect) -> Outcome | None:
        return self._pages.get(uid, _NONE).get(effect)

    def count(self, uid: str) -> int:
        return len(self._pages.get(uid, ()))

    def store(self, uid: str, effect: Effect, outcome: Outcome) -> None:
        page = self._pages.setdefault(uid, OrderedDict())
        page[effect] = outcome
        page.move_to_end(effect)
        if len(page) > KEPT:
            page.popitem(last=False)

    def forget(self, uid: str) -> None:
        self._pages.pop(uid, None)

    def clear(self) -> None:
        """Forget everything: another replica may have acted since."""
        self._pages.clear()
