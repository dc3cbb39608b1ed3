"""Images by Docker or Podman, where one answers."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from e2e.images.builder import BuildRequest, RunRequest
from e2e.images.cache import replacing
from e2e.images.commands import run_logged, succeeds

ENGINES = ("docker", "podman")
PROBE_SECONDS = 20
_ADVICE = "If the log does not tell why, try the command by hand."


def answering_engine() -> str | None:
    """Name the engine that answers: a client without its daemon, as in many development images, does not count."""
    for name in ENGINES:
        if shutil.which(name) and succeeds([name, "info"], timeout=PROBE_SECONDS):
            return name
    return None


@dataclass(frozen=True, slots=True)
class Engine:
    """docker or podman: their command lines are the same for what is needed here."""

    program: str

    def has(self, reference: str) -> bool:
        return succeeds([self.program, "image", "inspect", reference], timeout=PROBE_SECONDS)

    def reaches(self, public: str) -> bool:
        return succeeds([self.program, "manifest", "inspect", public], timeout=PROBE_SECONDS)

    def pull(self, public: str, reference: str, log: Path) -> None:
        run_logged([self.program, "pull", public], log, advice="Is the registry reachable?")
        self.tag(public, reference, log)

    def import_root(self, tar: Path, reference: str, log: Path) -> None:
        run_logged([self.program, "import", str(tar), reference], log, advice=_ADVICE)

    def build(self, request: BuildRequest) -> None:
        # The engine keeps the layers of all stages by its own rules, so request.kept_stages has nothing to add.
        secrets = [f"--secret=id={name},src={path}" for name, path in request.secrets.items()]
        command = [
            self.program, "build", "--network=host", f"--tag={request.reference}", f"--file={request.dockerfile}",
            f"--build-arg=BASE_IMAGE={request.base}", *secrets, str(request.context),
        ]  # fmt: skip
        run_logged(command, request.log, advice=_ADVICE)

    def export(self, reference: str, archive: Path, log: Path) -> None:
        with replacing(archive) as partial:
            # Both write the image's full name where containerd finds it, podman in its older format only.
            run_logged([self.program, "save", f"--output={partial}", reference], log, advice=_ADVICE)

    def load(self, archive: Path, reference: str, log: Path) -> None:
        # The archive carries the image's name, so there is nothing to tag.
        run_logged(
            [self.program, "load", f"--input={archive}"], log, advice=f"{_ADVICE} It was to bring back {reference}."
        )

    def tag(self, reference: str, target: str, log: Path) -> None:
        run_logged([self.program, "tag", reference, target], log, advice=_ADVICE)

    def push(self, reference: str, log: Path) -> None:
        advice = f"Is the registry reachable, and are you logged in ({self.program} login)?"
        run_logged([self.program, "push", reference], log, advice=advice)

    def run(self, request: RunRequest) -> int:
        mounts = [f"--volume={source}:{target}" for source, target in request.mounts]
        variables = [f"--env={key}={value}" for key, value in request.environment.items()]
        head = [self.program, "run", "--rm", "--network=host", *mounts, *variables, "--entrypoint", request.command[0]]
        return subprocess.run([*head, request.reference, *request.command[1:]], check=False).returncode
