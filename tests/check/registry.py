"""MLflow in memory: what each effect of ``modelcycle.registry.port`` does, in one go.

Searching before creating, and reading before writing, are the adapter's; here they are one step with what follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import ModelFile
from modelcycle.core.plan import Effect
from modelcycle.deployment.effects import EnsureFeedbackKey
from modelcycle.errors import NotFound, Unusable
from modelcycle.registry.port import (
    AliasMoved,
    ClaimModel,
    EndRun,
    EnsureRun,
    FindRegistered,
    ModelReading,
    MoveAlias,
    ReadVersion,
    RegisterModel,
    RunInfo,
    RunStatus,
    SetAlias,
    SetVersionTags,
    Tags,
    VersionInfo,
)

MODEL = "quant.hedge"


@dataclass(frozen=True, slots=True)
class Run:
    """``logged``: how many models its pods have logged."""

    number: int
    uid: str
    key: str | None = None
    logged: int = 0
    status: RunStatus | None = None

    @property
    def id(self) -> str:
        return f"run{self.number}"


@dataclass(frozen=True, slots=True)
class Version:
    number: str
    run: str
    key: str | None = None
    tags: Tags = ()


@dataclass(frozen=True, slots=True)
class Registry:
    """One registered model with its runs."""

    runs: tuple[Run, ...] = ()
    versions: tuple[Version, ...] = ()
    aliases: Tags = ()
    owner: str | None = None

    def alias(self, name: str) -> str | None:
        return dict(self.aliases).get(name)

    def with_alias(self, name: str, version: str | None) -> Registry:
        others = {alias: named for alias, named in self.aliases if alias != name}
        return replace(self, aliases=tuple(sorted((others | ({name: version} if version else {})).items())))

    def reading(self) -> ModelReading:
        return ModelReading(bool(self.versions), self.aliases, self.owner)

    def logged(self, run: str) -> Registry:
        return replace(self, runs=tuple(replace(r, logged=r.logged + 1) if r.id == run else r for r in self.runs))


def carry_out(registry: Registry, effect: Effect) -> tuple[Registry, object]:
    """The registry afterwards, and the result. Raises what the adapter raises."""
    match effect:
        case EnsureRun(uid=uid, tags=tags):
            found = next((run for run in registry.runs if run.uid == uid), None)
            run = found or Run(len(registry.runs) + 1, uid, dict(tags).get(names.TAG_KEY))
            after = registry if found else replace(registry, runs=(*registry.runs, run))
            return after, RunInfo(run.id, "7", f"mlflow-artifacts:/7/{run.id}/artifacts")
        case EndRun(run_id=run_id, status=status):
            return replace(
                registry, runs=tuple(replace(r, status=status) if r.id == run_id else r for r in registry.runs)
            ), None
        case FindRegistered(key=key):
            version = next((v for v in registry.versions if v.key == key), None)
            return registry, info(version) if version else None
        case RegisterModel():
            return _register(registry, effect)
        case ReadVersion(version=number):
            return registry, info(_version(registry, number))
        case SetVersionTags(version=number, tags=tags):
            _version(registry, number)
            kept = tuple(
                replace(v, tags=tuple(sorted((dict(v.tags) | dict(tags)).items()))) if v.number == number else v
                for v in registry.versions
            )
            return replace(registry, versions=kept), None
        case ClaimModel(owner=owner, replace=replaced):
            after = replace(registry, owner=owner) if registry.owner in (None, replaced) else registry
            return after, after.owner
        case SetAlias(alias=alias, version=number):
            return registry.with_alias(alias, number), None
        case MoveAlias(alias=alias, to=to, expect=expect):
            now = registry.alias(alias)
            if now == to or now != expect:
                return registry, AliasMoved(now, moved=now == to)
            return registry.with_alias(alias, to), AliasMoved(to, moved=True)
        case EnsureFeedbackKey():
            return registry, None
    raise NotImplementedError(type(effect).__name__)


def _register(registry: Registry, effect: RegisterModel) -> tuple[Registry, VersionInfo]:
    found = next((version for version in registry.versions if version.key == effect.key), None)
    if found is not None:
        return registry, info(found)
    run = next(run for run in registry.runs if run.id == effect.run_id)
    if not run.logged:
        raise Unusable("NoModelLogged", f"run {run.id} logged no model")
    version = Version(str(len(registry.versions) + 1), run.id, effect.key)
    return replace(registry, versions=(*registry.versions, version)), info(version)


def _version(registry: Registry, number: str) -> Version:
    for version in registry.versions:
        if version.number == number:
            return version
    raise NotFound(f"no version {number}")


def info(version: Version) -> VersionInfo:
    return VersionInfo(
        model=MODEL,
        version=version.number,
        run_id=version.run,
        model_root=f"mlflow-artifacts:/7/models/m-{version.number}/artifacts",
        run_root=f"mlflow-artifacts:/7/{version.run}/artifacts",
        files=(ModelFile(path="model/model.onnx", size=10, sha256="a" * 64),),
        digest="b" * 64,
        tags=(),
    )
