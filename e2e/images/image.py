"""Images as other programs use them: by name, built when they are not there."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from e2e import core
from e2e.images.bases import Base, base_of, chosen_kind, provide
from e2e.images.buildah import Buildah
from e2e.images.builder import Builder, BuildRequest, RunRequest
from e2e.images.cache import Cache, default_cache
from e2e.images.catalogue import CORE, DEFAULT_REPOSITORY, RECIPES, ROOT, Recipe, recipe
from e2e.images.commands import last_line
from e2e.images.contents import key_of, stage
from e2e.images.engine import Engine, answering_engine
from e2e.images.errors import ImagesError
from e2e.images.pip_settings import write_secrets
from e2e.progress import step


@dataclass(frozen=True, slots=True)
class Image:
    """A built image. `archive` is an OCI archive of it under its local name, whatever repository it was pushed to."""

    name: str
    key: str
    reference: str
    archive: Path


@dataclass(frozen=True, slots=True)
class _Work:
    """What one command works with."""

    builder: Builder
    cache: Cache
    root: Path
    kind: str

    def base(self, image: Recipe) -> Base:
        return base_of(image, self.kind, self.root)

    def image(self, wanted: Recipe) -> Image:
        key = key_of(wanted, self.root, self.base(wanted).key)
        return Image(
            wanted.name, key, f"{DEFAULT_REPOSITORY}/{wanted.name}:{key}", self.cache.archive(wanted.name, key)
        )


def _work(root: Path) -> _Work:
    cache = default_cache()
    engine = answering_engine()
    if engine is None:
        Buildah(cache.storage).check()
    builder: Builder = Engine(engine) if engine else Buildah(cache.storage)
    return _Work(builder, cache, root, chosen_kind(builder, root))


def describe(names: Sequence[str] = (), *, root: Path = ROOT) -> tuple[Image, ...]:
    """Say what images would be called, and where they are or would be, without building any."""
    work = _work(root)
    return tuple(work.image(wanted) for wanted in _recipes(names, root))


def build(
    names: Sequence[str] = (), *, repository: str = DEFAULT_REPOSITORY, push: bool = False, root: Path = ROOT
) -> tuple[Image, ...]:
    """Have images, all of them if none is named: those whose archive is there are taken as they are.

    With another repository they are called so in the builder's store too, and pushed there if asked.
    Raises ImagesError with what is wrong and what to do.
    """
    wanted = _recipes(names, root)
    work = _work(root)
    images = tuple(work.image(each) for each in wanted)
    if not all(image.archive.exists() for image in images):
        with work.cache.lock():
            images = tuple(_built(each, work) for each in wanted)
    for image in images:
        # The archives that are pruned are those that no one used for longest.
        image.archive.touch()
    if repository == DEFAULT_REPOSITORY:
        return images
    return tuple(_published(image, repository, work, push=push) for image in images)


def run(name: str, request: RunRequest, *, root: Path = ROOT) -> int:
    """Run a command in an image's file system, built if need be; `request.reference` is filled in here."""
    (image,) = build([name], root=root)
    work = _work(root)
    _stored(image, work)
    return work.builder.run(replace(request, reference=image.reference))


def _recipes(names: Sequence[str], root: Path) -> tuple[Recipe, ...]:
    """What is wanted, with what is compiled for it on the host: its key covers that too."""
    found = tuple(recipe(name) for name in names) or RECIPES
    if root == ROOT and any(CORE in each.inputs for each in found):
        try:
            core.build()
        except core.CoreError as error:
            raise ImagesError(str(error)) from error
    return found


def _built(wanted: Recipe, work: _Work) -> Image:
    image = work.image(wanted)
    if image.archive.exists():
        return image
    base, log = work.base(wanted), work.cache.log(wanted.name)
    provide(base, work.builder, work.cache)
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="modelcycle-image-") as folder:
        context, secrets = Path(folder, "context"), Path(folder, "secrets")
        secrets.mkdir()
        stage(wanted, work.root, context)
        request = BuildRequest(
            wanted.name, context, context / wanted.dockerfile, base.reference, image.reference,
            write_secrets(secrets), log, wanted.kept_stages,
        )  # fmt: skip
        with step(f"building the {wanted.name} image on {base}", detail=last_line(log)):
            work.builder.build(request)
            work.builder.export(image.reference, image.archive, log)
    work.cache.prune_archives(wanted.name)
    return image


def _published(image: Image, repository: str, work: _Work, *, push: bool) -> Image:
    _stored(image, work)
    target, log = f"{repository}/{image.name}:{image.key}", work.cache.log(image.name)
    work.builder.tag(image.reference, target, log)
    if push:
        with step(f"pushing {target}", detail=last_line(log)):
            work.builder.push(target, log)
    return replace(image, reference=target)


def _stored(image: Image, work: _Work) -> None:
    """Have an image in the builder's store, from its archive if it is no longer there."""
    if not work.builder.has(image.reference):
        work.builder.load(image.archive, image.reference, work.cache.log(image.name))
