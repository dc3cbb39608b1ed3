"""Where a node keeps images, containers and volumes: a file system in one sparse file, where the machine allows it.

Tens of thousands of small files take a minute to remove on a slow disk, one large file a second. Nothing in it is worth
a journal or a flush, so that loading images is faster as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.paths import ClusterPaths
from e2e.cluster.processes import SYSTEM_PATH

FOLDERS = {"lib": 0o755, "log": 0o755, "tmp": 0o1777}
MOUNT_OPTIONS = "loop,noatime,nobarrier"
_SHARE_OF_FREE_SPACE = 0.9


def make(paths: ClusterPaths) -> str:
    """Make the node's folders; returns the file to mount over them, or nothing when they are to be used as they are."""
    for name, mode in FOLDERS.items():
        (paths.disk / name).mkdir(parents=True)
        (paths.disk / name).chmod(mode)
    image = paths.root / "disk.img"
    size = int(shutil.disk_usage(paths.root).free * _SHARE_OF_FREE_SPACE)
    with image.open("wb") as file:
        file.truncate(size)
    format_ = ("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", "-d", str(paths.disk))
    try_out = ("unshare", "--mount", "mount", "-o", MOUNT_OPTIONS, str(image), str(paths.disk))
    if _works(*format_, str(image)) and _works(*try_out):
        return str(image)
    image.unlink()
    return ""


def loop_devices(folder: Path, devices: Path = Path("/sys/block")) -> list[str]:
    """The loop devices whose file lies below the folder."""
    files = devices.glob("loop*/loop/backing_file")
    return sorted(file.parent.parent.name for file in files if file.read_text().startswith(f"{folder}/"))


def _works(*command: str) -> bool:
    try:
        answer = subprocess.run(command, capture_output=True, check=False, env=os.environ | {"PATH": SYSTEM_PATH})
    except FileNotFoundError:
        return False
    return answer.returncode == 0
