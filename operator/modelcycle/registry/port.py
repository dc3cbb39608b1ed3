"""What decisions may ask of a model registry: effects with their results, and the facts that are polled.

Every effect names its endpoint (a name of ``Settings.endpoints``), is safe to carry out twice, and searches before it
creates, since MLflow has neither idempotency keys nor compare-and-swap. Errors: ``Unavailable`` (retryable),
``NotFound``, ``Refused``; and ``Unusable`` with a reason that becomes the reason of a condition.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from modelcycle.api.v1alpha1.common import ModelFile
from modelcycle.constants import TAG_KEY
from modelcycle.core.plan import Effect, FactRequest

Tags = tuple[tuple[str, str], ...]


class RunStatus(StrEnum):
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True, slots=True)
class RunInfo:
    run_id: str
    experiment_id: str
    artifact_uri: str


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A model version. The file ``model/x`` is at ``<model_root>/x``, ``modelcycle/x`` at ``<run_root>/modelcycle/x``.

    ``digest``: ``core.hashing.sha256`` of the sorted ``[[path, size, sha256], ...]``. ``tags``: all but TAG_FILES.
    """

    model: str
    version: str
    run_id: str | None
    model_root: str
    run_root: str | None
    files: tuple[ModelFile, ...]
    digest: str
    tags: Tags = ()

    def tag(self, name: str) -> str | None:
        return next((value for key, value in self.tags if key == name), None)


# --- effects ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class EnsureRun(Effect):
    """Find the run tagged with ``uid``, or create it. Result: ``RunInfo``.

    Of several, ``keep``, or else the oldest, is kept, the others are ended and tagged ``duplicate-of``. ``keep``: the
    run that pods were told to log to already.
    """

    endpoint: str
    experiment: str
    name: str
    uid: str
    tags: Tags
    keep: str | None = None


@dataclass(frozen=True, slots=True)
class FindRegistered(Effect):
    """Find the version of ``model`` tagged with ``key``. Result: ``VersionInfo`` or None."""

    endpoint: str
    model: str
    key: str


@dataclass(frozen=True, slots=True)
class RegisterModel(Effect):
    """Register the ONNX model that the run logged; once for each key (TAG_KEY). Result: ``VersionInfo``.

    That of another run where one with this key is registered already: the training was deleted and made again.
    ``logged_since``: models logged earlier are left out, such as those of an attempt that failed; None takes all.
    Raises ``Unusable`` with reason NoModelLogged, SeveralModelsLogged, UnsupportedFlavor, SignatureMissing,
    TooManyFiles, ModelMalformed or ArtifactsNotProxied.
    """

    endpoint: str
    run_id: str
    model: str
    tags: Tags
    logged_since: datetime | None = None

    @property
    def key(self) -> str:
        return dict(self.tags)[TAG_KEY]


@dataclass(frozen=True, slots=True)
class EndRun(Effect):
    """Give the run its final status (and tags). Result: None. A run that is gone counts as ended."""

    endpoint: str
    run_id: str
    status: RunStatus
    tags: Tags = ()


@dataclass(frozen=True, slots=True)
class ReadVersion(Effect):
    """Read a version. Result: ``VersionInfo``. Raises ``NotFound``, ``Unusable``.

    The digests are those recorded at its registration; of a version that somebody else registered, computed now.
    """

    endpoint: str
    model: str
    version: str


@dataclass(frozen=True, slots=True)
class SetVersionTags(Effect):
    """Set tags of a version. Result: None."""

    endpoint: str
    model: str
    version: str
    tags: Tags


@dataclass(frozen=True, slots=True)
class ClaimModel(Effect):
    """Become the owner of the model's aliases if nobody is, or if ``replace`` is. Result: the owner's tag now (str).

    Creates the registered model when it does not exist. ``again`` tells one claim from a later equal one.
    """

    endpoint: str
    model: str
    owner: str
    replace: str | None = None
    again: str = ""


@dataclass(frozen=True, slots=True)
class SetAlias(Effect):
    """Point an alias that is asked for by a resource at a version, whatever it named before. Result: None."""

    endpoint: str
    model: str
    alias: str
    version: str


@dataclass(frozen=True, slots=True)
class MoveAlias(Effect):
    """Second phase of an alias move: reads, and moves only if the alias is still ``expect``. Result: ``AliasMoved``.

    ``since`` tells one intent from a later equal one.
    """

    endpoint: str
    model: str
    alias: str
    to: str | None
    expect: str | None
    since: str


@dataclass(frozen=True, slots=True)
class AliasMoved:
    """``version``: what the alias names now. ``moved``: it is what was wanted."""

    version: str | None
    moved: bool


# --- facts -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ModelFact(FactRequest):
    """Keep the registered model's aliases and owner fresh. Value: ``ModelReading``."""

    endpoint: str
    model: str


@dataclass(frozen=True, slots=True)
class ModelReading:
    """``exists`` is False for a name that the registry does not know."""

    exists: bool
    aliases: tuple[tuple[str, str], ...] = ()
    owner: str | None = None

    def alias(self, name: str) -> str | None:
        return next((version for alias, version in self.aliases if alias == name), None)
