"""A whole cluster with one node, in network, mount and PID namespaces of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from e2e.cluster import (
    addons,
    alone,
    binaries,
    cgroups,
    control_plane,
    credentials,
    disk,
    images,
    kubectl,
    network,
    node,
    node_settings,
    plan,
    readiness,
    record,
)
from e2e.cluster.control_plane import CONTROLLER_MANAGER, SCHEDULER, Endpoints
from e2e.cluster.errors import MachineError
from e2e.cluster.options import Options
from e2e.cluster.paths import ClusterPaths
from e2e.cluster.plan import Isolation, Plan, Process
from e2e.cluster.processes import SYSTEM_PATH, start_daemon
from e2e.cluster.readiness import Api
from e2e.cluster.sockets import answers
from e2e.progress import say, step

_INSIDE = Path("/run/modelcycle")
_PROGRAMS = ("containerd", "ctr", "ip", "mount", "nft", "nsenter", "openssl", "runc", "unshare")
_CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
_READY_SECONDS = 600


def unavailable() -> str:
    """Why this machine can't run one; empty when it can."""
    if os.geteuid() != 0:
        return "a cluster with a node needs root"
    missing = [name for name in _PROGRAMS if shutil.which(name, path=SYSTEM_PATH) is None]
    missing += [] if _cni_folder() else ["CNI plugins"]
    return f"this machine lacks {', '.join(missing)}" if missing else ""


def node_name(cluster: str) -> str:
    return f"{cluster}-node"


def start(options: Options, paths: ClusterPaths, mark: str) -> record.Record:
    """Start it; nothing of an earlier one may be left."""
    reason = unavailable()
    if reason:
        raise MachineError(reason, do="as root: e2e/bootstrap (or `make setup`)")
    kubernetes, dns = binaries.program("kubelet").parent, binaries.program("coredns").parent
    binaries.program("pause")  # built now, and not while the cluster waits for it
    say(f"starting the cluster {options.name}")
    cable = network.make(options.name, paths.network_namespace)
    at = Endpoints(cable.node_address, 6443, 2379, 2380)
    _write_files(options, paths, at)
    components = _components(options, at)
    leaves = cgroups.make(options.name)
    isolation = _isolation(paths, {"kubernetes": kubernetes, "coredns": dns}, leaves)
    todo = Plan(
        str(_inside_paths().root),
        components,
        environment={"PATH": SYSTEM_PATH},
        isolation=isolation,
        open_folder=node.VOLUMES,
    )
    plan.write(todo, paths.plan)
    supervisor = start_daemon(_command(paths, cable), paths.log("supervisor"), mark)
    made = record.Record(at.server, supervisor, full=True, controllers=True)
    record.write(made, paths)
    return made


def _inside_paths() -> ClusterPaths:
    return ClusterPaths(_INSIDE / "state")


def _sysctls(paths: ClusterPaths) -> Path:
    return paths.root / "sysctl"


def _write_files(options: Options, paths: ClusterPaths, at: Endpoints) -> None:
    """Everything that the components read."""
    paths.logs.mkdir()
    users = {
        "kube-controller-manager": CONTROLLER_MANAGER,
        "kube-scheduler": SCHEDULER,
        "kubelet": node.node_user(node_name(options.name)),
        "kube-proxy": node.KUBE_PROXY,
        "coredns": node.COREDNS,
    }
    addresses = (at.address, "127.0.0.1", control_plane.FIRST_SERVICE_ADDRESS)
    credentials.make(paths, f"modelcycle-{options.name}", at.server, addresses, users)
    files = node.files(
        _inside_paths(), options.name, node_name(options.name), cgroups.root_name(options.name), str(_cni_folder())
    )
    for name, content in files.items():
        _write(paths.config / name, content)
    for name, value in node.SYSCTLS.items():
        _write(_sysctls(paths) / name, value + "\n")


def _write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def _components(options: Options, at: Endpoints) -> list[Process]:
    paths = _inside_paths()
    kubernetes, dns = _INSIDE / "bin" / "kubernetes", _INSIDE / "bin" / "coredns"
    return [
        control_plane.etcd(paths, kubernetes, at),
        control_plane.apiserver(paths, kubernetes, at, alone=False),
        control_plane.controller_manager(paths, kubernetes, at, port=10257),
        control_plane.scheduler(paths, kubernetes, at),
        node.containerd(paths),
        node.kubelet(paths, kubernetes, node_name(options.name), at.address, at.api),
        node.kube_proxy(paths, kubernetes, at.api),
        node.coredns(paths, dns, at.api),
    ]


def _isolation(paths: ClusterPaths, programs: dict[str, Path], leaves: list[Path]) -> Isolation:
    run = paths.root / "run"
    run.mkdir()
    binds = [
        (paths.root, _INSIDE / "state"),
        *((folder, _INSIDE / "bin" / name) for name, folder in programs.items()),
        (paths.disk / "lib", Path("/var/lib")),
        (paths.disk / "log", Path("/var/log")),
        (paths.disk / "tmp", Path("/tmp")),
        *((_sysctls(paths) / name, Path("/proc/sys") / name) for name in node.SYSCTLS),
    ]
    texts = [(str(outer), str(inner)) for outer, inner in binds]
    return Isolation(str(run), texts, [str(leaf) for leaf in leaves], disk.make(paths), str(paths.disk))


def _command(paths: ClusterPaths, cable: network.Network) -> list[str]:
    """Not `ip netns exec`, which would hide the cgroup hierarchies."""
    enter = ["nsenter", f"--net={cable.namespace}"]
    separate = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    return [*enter, *separate, "env", f"PYTHONPATH={alone.REPOSITORY}", *alone.supervisor_command(paths)]


def settle(options: Options, paths: ClusterPaths, made: record.Record) -> None:
    """Give it what every cluster has, and wait until it can be used; the same again changes nothing."""
    api = Api.of_admin(paths)

    def until(what: str, ready: Callable[[], bool]) -> None:
        readiness.wait(what, ready, paths, made.supervisor, seconds=_READY_SECONDS)

    until(f"kube-apiserver ready at {made.server}", api.is_ready)
    kubectl.run(paths.kubeconfig, "apply", "-f", "-", input_=addons.manifest(api.host))
    until("node registered", lambda: api.get(f"/api/v1/nodes/{node_name(options.name)}") is not None)
    with step("loading the pause image", quiet=True):
        images.load(images.archive_of(binaries.program("pause"), node.PAUSE_IMAGE), made.supervisor)
    node_settings.apply(paths.kubeconfig, binaries.program("kubectl"), node_name(options.name), options)
    until("node ready", lambda: _is_ready(api, node_name(options.name)))
    until("DNS ready", lambda: answers(f"{api.host}:53"))
    until("default ServiceAccount ready", lambda: api.get(alone.DEFAULT_ACCOUNT) is not None)


def _is_ready(api: Api, name: str) -> bool:
    conditions = api.get_json(f"/api/v1/nodes/{name}").get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _cni_folder() -> Path | None:
    return next((folder for folder in _CNI_FOLDERS if (folder / "ptp").exists()), None)
