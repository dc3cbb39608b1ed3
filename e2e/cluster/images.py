"""Images of one program, and importing archives into a cluster's containerd."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

from e2e.cluster.errors import ClusterError
from e2e.cluster.node import CONTAINERD_SOCKET
from e2e.cluster.processes import Identity

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def archive_of(program: Path, image: str) -> bytes:
    """A Docker archive of an image whose one file is a static program, which it starts."""
    layer = _tar({program.name: program.read_bytes()})
    config = json.dumps({
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }).encode()  # fmt: skip
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]).encode()
    return _tar({"manifest.json": manifest, "config.json": config, "layer.tar": layer})


def load(archive: bytes | Path, supervisor: Identity) -> None:
    """Import an archive into the containerd of the cluster with this supervisor.

    It goes through standard input, since the cluster's processes see their own /tmp, /run and /var.
    """
    import_ = ["ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io", "images", "import", "-"]
    command = ["nsenter", f"--target={_inner(supervisor)}", "--mount", *import_]
    if isinstance(archive, bytes):
        answer = subprocess.run(command, input=archive, capture_output=True, check=False)
    else:
        if not archive.is_file():
            raise ClusterError(f"no image archive at {archive}")
        with archive.open("rb") as file:
            answer = subprocess.run(command, stdin=file, capture_output=True, check=False)
    if answer.returncode:
        raise ClusterError(
            f"containerd did not import the image: {answer.stderr.decode(errors='replace').strip()[-2000:]}",
            do="give it an archive as `buildah push IMAGE oci-archive:FILE:NAME:TAG` or `docker save` writes it",
        )


def _inner(supervisor: Identity) -> int:
    """The process inside of the namespaces: the one child of `unshare`."""
    children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
    return int(children[0])


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
