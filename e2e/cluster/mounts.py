"""What is mounted below a folder, as this process's mount namespace has it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")


def below(folder: Path, table: Path = Path("/proc/self/mounts")) -> list[str]:
    """The mount points strictly below the folder, in the order in which they were mounted."""
    targets = [_ESCAPED.sub(_unescape, line.split()[1]) for line in table.read_text().splitlines()]
    return [target for target in targets if target.startswith(f"{folder}/")]


def remove_below(folder: Path) -> None:
    for target in reversed(below(folder)):
        subprocess.run(["umount", "--lazy", target], check=True)


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))
