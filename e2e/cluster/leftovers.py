"""What of a cluster is on this machine, found by looking at the machine and not at our own notes."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster import cgroups, disk, mounts, network, processes
from e2e.cluster.paths import ClusterPaths, cluster_paths


def leftovers(name: str) -> list[str]:
    """One line for each thing that is there: processes, mounts, devices, links, cgroups, files.

    Empty once a cluster is down. There are no nftables rules and no sysctls in the list: a cluster has its own in its
    network namespace (which shows as a mount), and sees stand-ins for the rest (`node.SYSCTLS`).
    """
    paths = cluster_paths(name)
    found = [f"process {one.pid} ({_command(one.pid)})" for one in processes.marked(mark(paths))]
    found += [f"process {pid} ({_command(pid)}) in its cgroup" for pid in cgroups.members(name)]
    found += [f"mount {target}" for target in mounts.below(paths.root)]
    found += [f"loop device {device}" for device in disk.loop_devices(paths.root)]
    found += network.present(name)
    found += [f"cgroup {folder}" for folder in cgroups.folders(name) if folder.exists()]
    if paths.root.exists():
        found.append(f"folder {paths.root}")
    return found


def mark(paths: ClusterPaths) -> str:
    """What the cluster's processes carry in their environment."""
    return str(paths.root)


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "ended"
    return b" ".join(words[:3]).decode(errors="replace")[:80]
