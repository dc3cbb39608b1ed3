"""Which keys the versions of registered models carry: read once, kept up to date by what is new since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelcycle.constants import TAG_KEY
from modelcycle.registry.answers import Version, VersionsFound
from modelcycle.registry.client import MlflowClient, literal
from modelcycle.registry.together import Together

PAGE = 50  # a version has 10 KB of tags at worst, and 1 MiB is as much as we read
PAGES = 20


@dataclass(slots=True)
class _Model:
    """``last``: the highest version that was read. ``unsure``: keys that may be registered though nobody said so."""

    together: Together[str, bool]
    keys: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    last: int = 0
    too_many: bool = False


class Keys:
    """Tells for sure that a key is *not* there; whether it is, only a search for it can tell.

    MLflow can't search for several values of a tag at once, but for versions above a number. A model with more than
    1,000 versions that are new to us is not read: each of its keys is searched for by itself.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._models: dict[str, _Model] = {}

    async def may_have(self, name: str, key: str) -> bool:
        """Calls: ``model-versions/search``, one for all that ask at a time; none when the key is known."""
        model = self._model(name)
        if model.too_many or key in model.keys or key in model.unsure:
            return True
        return bool(await model.together.answer(key))

    def unsure(self, name: str, key: str) -> None:
        """A version with ``key`` is about to be made, and its answer may get lost."""
        self._model(name).unsure.add(key)

    def made(self, version: Version, key: str) -> None:
        """The version is there."""
        model, number = self._model(version.name), int(version.version)
        if number <= model.last:  # the registered model was deleted and made again: its versions count anew
            model.keys.clear()
            model.last = 0
        if number == model.last + 1:
            model.last = number
        model.keys.add(key)
        model.unsure.discard(key)

    def _model(self, name: str) -> _Model:
        if name not in self._models:

            async def read(keys: tuple[str, ...]) -> Mapping[str, bool]:
                await self._read(name, self._models[name])
                model = self._models[name]
                return {key: model.too_many or key in model.keys for key in keys}

            self._models[name] = _Model(Together(read, most=1 << 20))
        return self._models[name]

    async def _read(self, name: str, model: _Model) -> None:
        for _ in range(PAGES):
            query = f"name = {literal(name)} and version_number > {model.last}"
            found = await self._client.get(
                "model-versions/search",
                VersionsFound,
                filter=query,
                order_by="version_number ASC",
                max_results=str(PAGE),
            )
            for version in found.model_versions:
                model.last = max(model.last, int(version.version))
                key = version.tag(TAG_KEY)
                if key is not None:
                    model.keys.add(key)
            if len(found.model_versions) < PAGE:
                return
        model.too_many = True
        model.keys.clear()
