"""Model versions: registered once for each run, read with their digests, found by key."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import ValidationError

from modelcycle.api.v1alpha1.common import ModelFile
from modelcycle.constants import (
    TAG_BASELINE_LOSS,
    TAG_DIGEST,
    TAG_DUPLICATE_OF,
    TAG_FILES,
    TAG_KEY,
    TAG_MODEL_ROOT,
    TAG_RUN_ROOT,
)
from modelcycle.core.hashing import canonical
from modelcycle.errors import AlreadyExists, NotFound, Unusable
from modelcycle.registry.answers import (
    Location,
    LoggedModelFields,
    Nothing,
    RegisteredModelFound,
    Version,
    VersionFound,
    VersionsFound,
)
from modelcycle.registry.artifacts import manifest_digest, rows
from modelcycle.registry.client import MlflowClient, literal, tag_list
from modelcycle.registry.keys import Keys
from modelcycle.registry.logged import Contents, LoggedModels
from modelcycle.registry.mlmodel import MALFORMED
from modelcycle.registry.port import FindRegistered, ReadVersion, RegisterModel, SetVersionTags, Tags, VersionInfo
from modelcycle.registry.runs import Runs


class Versions:
    """The model versions of one MLflow server."""

    def __init__(self, client: MlflowClient, runs: Runs) -> None:
        self._client = client
        self._runs = runs
        self._models = LoggedModels(client)
        self._keys = Keys(client)

    async def register(self, effect: RegisterModel) -> VersionInfo:
        """Find the version of this key, of whichever run, or create it.

        Calls, when all goes well: ``model-versions/search`` and ``logged-models/search``, one each for all that ask at
        a time; a listing of the run's folder and, if weights lie beside the graph, of the model's; each file once;
        ``model-versions/create``.

        Once more: ``runs/get`` when this process did not make the run; ``registered-models/create`` and
        ``model-versions/create`` again for the first version of a model. When the version is there already: only
        ``model-versions/search``, and ``model-versions/set-tag`` for each duplicate, once.
        """
        registered, duplicates = await self._of_key(effect.model, effect.key)
        if registered is None:
            return await self._register(effect)
        for duplicate in duplicates:
            tag = ((TAG_DUPLICATE_OF, registered.version),)
            await self.set_tags(SetVersionTags(effect.endpoint, effect.model, duplicate.version, tag))
        return await self._info(registered)

    async def _register(self, effect: RegisterModel) -> VersionInfo:
        run = await self._runs.info(effect.run_id)
        model, mlmodel = await self._models.the_onnx_model(run, effect.logged_since)
        contents = await self._models.contents(model.artifact_uri, run.artifact_uri, mlmodel)
        return _recorded(await self._create(effect, model, contents))

    async def read(self, effect: ReadVersion) -> VersionInfo:
        """Calls: ``model-versions/get``.

        For a version without our tags also: where it is (``get-download-uri`` or ``runs/get``), ``runs/get`` of its
        run, a listing for each folder, each file once.
        """
        return await self._info(await self._get(effect.model, effect.version))

    async def find(self, effect: FindRegistered) -> VersionInfo | None:
        """Calls: ``model-versions/search``, one for all that ask at a time; once more for a version that is there."""
        found, _ = await self._of_key(effect.model, effect.key)
        return await self._info(found) if found else None

    async def set_tags(self, effect: SetVersionTags) -> None:
        """Calls: ``model-versions/set-tag`` for each tag, since MLflow sets no two at once."""
        for key, value in effect.tags:
            body = {"name": effect.model, "version": effect.version, "key": key, "value": value}
            await self._client.post("model-versions/set-tag", body, Nothing)

    async def _of_key(self, model: str, key: str) -> tuple[Version | None, tuple[Version, ...]]:
        if not await self._keys.may_have(model, key):
            return None, ()
        return first(await self._search(f"name = {literal(model)} and tags.`{TAG_KEY}` = {literal(key)}"))

    async def _search(self, query: str) -> Sequence[Version]:
        found = await self._client.get(
            "model-versions/search", VersionsFound, filter=query, order_by="version_number ASC", max_results="50"
        )
        return found.model_versions

    async def _get(self, model: str, version: str) -> Version:
        return (await self._client.get("model-versions/get", VersionFound, name=model, version=version)).model_version

    async def _create(self, effect: RegisterModel, model: LoggedModelFields, contents: Contents) -> Version:
        body = {
            "name": effect.model,
            "source": f"models:/{model.model_id}",
            "run_id": effect.run_id,
            "model_id": model.model_id,
            "tags": tag_list(_with_contents(effect.tags, contents)),
        }
        self._keys.unsure(effect.model, effect.key)
        try:
            made = await self._client.post("model-versions/create", body, VersionFound)
        except NotFound:  # the first version of this model
            await ensure_model(self._client, effect.model, ())
            made = await self._client.post("model-versions/create", body, VersionFound)
        self._keys.made(made.model_version, effect.key)
        return made.model_version

    async def _info(self, version: Version) -> VersionInfo:
        if version.tag(TAG_FILES) is not None:
            return _recorded(version)
        model_root = await self._location(version.source, version)
        contents = await self._models.contents(model_root, await self._run_root(version.run_id))
        return VersionInfo(
            model=version.name,
            version=version.version,
            run_id=version.run_id or None,
            model_root=contents.model_root,
            run_root=contents.run_root,
            files=contents.files,
            digest=contents.digest,
            tags=_with_contents(version.pairs, contents, files=False),
        )

    async def _location(self, source: str, version: Version) -> str:
        """Artifact URI of a version's source, which is a logged model, another version, a run's folder or a place."""
        if source.startswith("models:"):
            found = await self._client.get(
                "model-versions/get-download-uri", Location, name=version.name, version=version.version
            )
            source = found.artifact_uri
        if not source.startswith("runs:/"):
            return source
        run_id, _, folder = source.removeprefix("runs:/").partition("/")
        return f"{(await self._runs.info(run_id)).artifact_uri}/{folder}"

    async def _run_root(self, run_id: str) -> str | None:
        try:
            return (await self._runs.info(run_id)).artifact_uri if run_id else None
        except NotFound:  # deleted for good: the version lives on without baseline and smoke test
            return None


async def ensure_model(client: MlflowClient, name: str, tags: Tags) -> bool:
    """Create the registered model; False when it is there already. Calls: ``registered-models/create``."""
    try:
        await client.post("registered-models/create", {"name": name, "tags": tag_list(tags)}, RegisteredModelFound)
    except AlreadyExists:
        return False
    return True


def first(versions: Sequence[Version]) -> tuple[Version | None, tuple[Version, ...]]:
    """Of versions with the same key the one that counts, the lowest, and those that are to be tagged as duplicates."""
    ours = sorted(
        (version for version in versions if version.tag(TAG_DUPLICATE_OF) is None),
        key=lambda version: int(version.version),
    )
    return (ours[0] if ours else None), tuple(ours[1:])


def _with_contents(tags: Tags, contents: Contents, *, files: bool = True) -> Tags:
    found = {
        TAG_DIGEST: contents.digest,
        TAG_MODEL_ROOT: contents.model_root,
        TAG_RUN_ROOT: contents.run_root,
        TAG_BASELINE_LOSS: contents.baseline_loss,
        TAG_FILES: canonical(rows(contents.files)).decode() if files else None,
    }
    return tuple((dict(tags) | {key: value for key, value in found.items() if value is not None}).items())


def _recorded(version: Version) -> VersionInfo:
    """The version by its tags. Raises ``Unusable`` (ModelMalformed) when they contradict each other."""
    where = f"version {version.version} of model {version.name}"
    files, model_root = _files(version.tag(TAG_FILES) or "", where), version.tag(TAG_MODEL_ROOT)
    if model_root is None or manifest_digest(files) != version.tag(TAG_DIGEST):
        raise Unusable(
            MALFORMED,
            f"{where}: its tags {TAG_FILES}, {TAG_DIGEST} and {TAG_MODEL_ROOT} don't fit each other, somebody changed "
            f"them: delete the tag {TAG_FILES} to have the files digested again",
        )
    return VersionInfo(
        model=version.name,
        version=version.version,
        run_id=version.run_id or None,
        model_root=model_root,
        run_root=version.tag(TAG_RUN_ROOT),
        files=files,
        digest=manifest_digest(files),
        tags=tuple(pair for pair in version.pairs if pair[0] != TAG_FILES),
    )


def _files(text: str, where: str) -> tuple[ModelFile, ...]:
    try:
        return tuple(ModelFile(path=path, size=size, sha256=digest) for path, size, digest in json.loads(text))
    except (ValueError, TypeError, ValidationError, RecursionError) as error:
        raise Unusable(
            MALFORMED, f"{where}: its tag {TAG_FILES} can't be read: delete it to have the files digested again"
        ) from error
