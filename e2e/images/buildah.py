"""Images by buildah: no daemon, no registry, root on Linux."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from e2e.images.archives import Layout
from e2e.images.builder import BuildRequest, RunRequest
from e2e.images.cache import replacing
from e2e.images.catalogue import published
from e2e.images.commands import output_of, run_logged, succeeds
from e2e.images.errors import ImagesError

PROBE_SECONDS = 60
_STAGES = "localhost/modelcycle-stage"
_RUN_PREFIX = "modelcycle-run-"
_ADVICE = "If the log does not tell why, remove the buildah folder beside the logs and build again."


@dataclass(frozen=True, slots=True)
class Buildah:
    """buildah with a store of its own, apart from the machine's."""

    storage: Path

    def command(self, *arguments: str) -> list[str]:
        """Give a buildah command line that takes along all that it started when it ends, or when we do.

        setpriv ends it with this process, the process namespace ends its children with it (buildah's own would go on),
        and with the mount namespace go its mounts.
        """
        return [
            "setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--propagation=private", "--pid", "--fork",
            "--kill-child", "--mount-proc", "buildah", f"--root={self.storage}/store", f"--runroot={self.storage}/run",
            "--storage-driver=overlay", "--storage-opt=overlay.skip_mount_home=true", *arguments,
        ]  # fmt: skip

    def check(self) -> None:
        """Raise ImagesError where buildah can't work, and say what is missing."""
        if shutil.which("buildah") is None:
            message = (
                "Images are built by Docker, Podman or buildah: no engine answers, and buildah is not installed. "
                "On Debian or Ubuntu: apt-get install --no-install-recommends buildah mmdebstrap"
            )
            raise ImagesError(message)
        if os.geteuid() != 0:
            message = (
                "buildah is used as root here, and no Docker or Podman engine answers: run this as root, or start one."
            )
            raise ImagesError(message)

    def has(self, reference: str) -> bool:
        return succeeds(self.command("inspect", "--type=image", reference), timeout=PROBE_SECONDS)

    def reaches(self, public: str) -> bool:
        # The transport keeps buildah from asking which registry a short name means.
        return succeeds(self.command("pull", "--quiet", f"docker://{public}"), timeout=PROBE_SECONDS)

    def pull(self, public: str, reference: str, log: Path) -> None:
        self._take(f"docker://{public}", reference, log)

    def import_root(self, tar: Path, reference: str, log: Path) -> None:
        container = output_of(self.command("from", "scratch")).strip()
        try:
            run_logged(self.command("add", "--quiet", container, str(tar), "/"), log, advice=_ADVICE)
            config = self.command("config", "--env=PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", container)
            run_logged(config, log, advice=_ADVICE)
            run_logged(self.command("commit", "--quiet", container, reference), log, advice=_ADVICE)
        finally:
            run_logged(self.command("rm", container), log, advice=_ADVICE)

    def build(self, request: BuildRequest) -> None:
        self._remove_left_containers()
        for stage in request.kept_stages:
            self._build(request, f"{_STAGES}/{request.name}-{stage}:kept", "--target", stage)
        self._build(request, request.reference)
        self._forget_earlier(request.reference)

    def _build(self, request: BuildRequest, reference: str, *options: str) -> None:
        secrets = [f"--secret=id={name},src={path}" for name, path in request.secrets.items()]
        command = self.command(
            "build", "--layers", "--isolation=chroot", "--network=host", "--pull-never", f"--tag={reference}",
            f"--build-arg=BASE_IMAGE={request.base}", f"--file={request.dockerfile}", *secrets, *options,
            str(request.context),
        )  # fmt: skip
        run_logged(command, request.log, advice=_ADVICE)

    def _forget_earlier(self, reference: str) -> None:
        """Keep one build of each image in the store, and the layers that it and the kept stages are made of."""
        repository = reference.rpartition(":")[0]
        for image in json.loads(output_of(self.command("images", "--json"))):
            for name in image.get("names") or []:
                if name.rpartition(":")[0] == repository and name != reference:
                    # An image that a `run` still uses stays until the next build.
                    succeeds(self.command("rmi", name), timeout=PROBE_SECONDS)
        succeeds(self.command("rmi", "--prune"), timeout=PROBE_SECONDS)

    def _remove_left_containers(self) -> None:
        """Remove what a killed build left behind, but not the container of a `run` that is alive."""
        for container in json.loads(output_of(self.command("containers", "--json"))) or []:
            name = container["containername"]
            if not (name.startswith(_RUN_PREFIX) and Path("/proc", name.removeprefix(_RUN_PREFIX)).exists()):
                succeeds(self.command("rm", container["id"]), timeout=PROBE_SECONDS)

    def export(self, reference: str, archive: Path, log: Path) -> None:
        """Write the archive; layers that were there the last time are not read again.

        Layers come uncompressed: compressing torch's takes longer than building it, and gains nothing on one machine.
        buildah leaves layers as they are for the `dir:` transport only, but then it writes all of them; to a layout,
        which has an image's slow layers already, it adds just the new ones.
        """
        layout = Layout(self.storage / "layers" / reference.rpartition(":")[0].rpartition("/")[2])
        if layout.lacks_old_layers(self._layers(reference)):
            with tempfile.TemporaryDirectory(dir=self.storage) as directory:
                push = self.command("push", "--quiet", "--disable-compression", reference, f"dir:{directory}")
                run_logged(push, log, advice=_ADVICE)
                layout.replace_by(Path(directory), reference)
        else:
            push = self.command("push", "--quiet", reference, f"oci:{layout.folder}:{reference}")
            run_logged(push, log, advice=_ADVICE)
        with replacing(archive) as partial:
            layout.pack(partial, reference, published(reference))

    def _layers(self, reference: str) -> list[str]:
        image = json.loads(output_of(self.command("inspect", "--type=image", reference)))
        return [str(layer) for layer in image["OCIv1"]["rootfs"]["diff_ids"]]

    def load(self, archive: Path, reference: str, log: Path) -> None:
        self._take(f"oci-archive:{archive}:{reference}", reference, log)

    def _take(self, source: str, reference: str, log: Path) -> None:
        """Bring an image from somewhere else, and call it `reference`."""
        pulled = output_of(self.command("pull", "--quiet", source)).split()
        self.tag(pulled[-1], reference, log)

    def tag(self, reference: str, target: str, log: Path) -> None:
        run_logged(self.command("tag", reference, target), log, advice=_ADVICE)

    def push(self, reference: str, log: Path) -> None:
        advice = "Is the registry reachable, and are you logged in (buildah login)?"
        run_logged(self.command("push", reference, f"docker://{reference}"), log, advice=advice)

    def run(self, request: RunRequest) -> int:
        name = f"{_RUN_PREFIX}{os.getpid()}"
        output_of(self.command("from", "--pull-never", f"--name={name}", request.reference))
        try:
            options = [f"--volume={source}:{target}" for source, target in request.mounts]
            options += [f"--env={key}={value}" for key, value in request.environment.items()]
            command = self.command(
                "run", "--isolation=chroot", "--network=host", *options, name, "--", *request.command
            )
            return subprocess.run(command, check=False).returncode
        finally:
            output_of(self.command("rm", name))
