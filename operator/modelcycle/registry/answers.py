"""The parts of MLflow's REST answers that we read. Field names are MLflow's own."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from modelcycle.registry.port import Tags


class Answer(BaseModel):
    """An answer or a part of one. MLflow leaves out what is empty, so that ``{}`` is a search that found nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    @classmethod
    def parsed(cls, payload: object) -> Self | None:
        """``payload`` as this answer, or None for something else, such as a proxy's own JSON.

        A search that found nothing leads to a creation, so an answer without any known field must not pass as one.
        """
        if not isinstance(payload, dict) or (payload and not payload.keys() & cls.model_fields.keys()):
            return None
        try:
            return cls.model_validate(payload)
        except ValidationError:
            return None


class Page(Answer):
    """A part of what a search found; ``next_page_token`` is empty in the last one."""

    next_page_token: str = ""


class Tag(Answer):
    key: str
    value: str = ""


class Tagged(Answer):
    tags: tuple[Tag, ...] = ()

    def tag(self, key: str) -> str | None:
        return next((tag.value for tag in self.tags if tag.key == key), None)

    @property
    def pairs(self) -> Tags:
        return tuple((tag.key, tag.value) for tag in self.tags)


class ExperimentFields(Answer):
    experiment_id: str
    lifecycle_stage: str = "active"


class ExperimentFound(Answer):
    experiment: ExperimentFields


class ExperimentCreated(Answer):
    experiment_id: str


class RunFields(Answer):
    run_id: str
    experiment_id: str
    artifact_uri: str
    status: str = ""
    start_time: int = 0
    lifecycle_stage: str = "active"


class Run(Answer):
    info: RunFields
    data: Tagged = Tagged()


class RunFound(Answer):
    run: Run


class RunUpdated(Answer):
    run_info: RunFields


class RunsFound(Page):
    runs: tuple[Run, ...] = ()


class LoggedModelFields(Answer):
    model_id: str
    name: str = ""
    artifact_uri: str
    status: str = ""
    creation_timestamp_ms: int = 0
    source_run_id: str = ""


class LoggedModel(Answer):
    info: LoggedModelFields


class LoggedModelsFound(Page):
    models: tuple[LoggedModel, ...] = ()


class Version(Tagged):
    name: str
    version: str
    source: str = ""
    run_id: str = ""


class VersionFound(Answer):
    model_version: Version


class VersionsFound(Answer):
    model_versions: tuple[Version, ...] = ()


class Location(Answer):
    artifact_uri: str


class Alias(Answer):
    alias: str
    version: str


class RegisteredModel(Tagged):
    name: str
    aliases: tuple[Alias, ...] = ()

    def alias(self, name: str) -> str | None:
        return next((alias.version for alias in self.aliases if alias.alias == name), None)


class RegisteredModelFound(Answer):
    registered_model: RegisteredModel


class RegisteredModelsFound(Page):
    registered_models: tuple[RegisteredModel, ...] = ()


class FileFields(Answer):
    path: str
    is_dir: bool = False
    file_size: int = 0


class Listing(Answer):
    root_uri: str = ""
    files: tuple[FileFields, ...] = ()


class Nothing(Answer):
    """The answer to a request that only changes something."""
