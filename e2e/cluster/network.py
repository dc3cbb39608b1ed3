"""A cluster's own network namespace, and the one cable between it and the machine.

The machine's end has the first address of a /30 and the cluster's node the second. The machine forwards nothing for the
cluster: pods reach the machine (as coming from the node), and the machine reaches the node.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.errors import MachineError
from e2e.cluster.locks import locked
from e2e.cluster.processes import SYSTEM_PATH

POD_RANGE = "10.244.0.0/16"
# Set aside for benchmarks between network devices (RFC 2544), so that nobody's network has it.
_CABLES = ipaddress.ip_network("198.18.0.0/15")
_INNER = "eth0"


@dataclass(frozen=True)
class Network:
    namespace: Path
    """A file that stands for the namespace, and keeps it alive while it is mounted."""
    machine_end: str
    machine_address: str
    node_address: str


def make(name: str, namespace: Path) -> Network:
    """Make the namespace and the cable. Whatever `name` had before must have been removed.

    The namespace gets a file of ours: `ip netns` would leave a mount on /run/netns.
    """
    namespace.touch()
    _run("unshare", f"--net={namespace}", "true")
    with locked("network"):  # two clusters must not find the same cable free
        network = _lay_cable(name, namespace)
    _ip("address", "add", f"{network.node_address}/30", "dev", _INNER, inside=network)
    _ip("link", "set", "lo", "up", inside=network)
    _ip("link", "set", _INNER, "up", inside=network)
    _ip("route", "add", "default", "via", network.machine_address, inside=network)
    _inside(network, "tee", "/proc/sys/net/ipv4/ip_forward", given="1\n")
    _inside(network, "nft", "-f", "-", given=_masquerade())
    return network


def _lay_cable(name: str, namespace: Path) -> Network:
    address = ipaddress.ip_address
    cable = free_cable(name, _addresses_in_use())
    network = Network(namespace, machine_end(name), str(address(cable + 1)), str(address(cable + 2)))
    _ip("link", "add", network.machine_end, "type", "veth", "peer", "name", _INNER, "netns", str(namespace))
    _ip("address", "add", f"{network.machine_address}/30", "dev", network.machine_end)
    _ip("link", "set", network.machine_end, "up")
    return network


def remove(name: str) -> None:
    """Remove the cable at once; the namespace would take its end of it along, but later."""
    if machine_end(name) in _links():
        _ip("link", "delete", machine_end(name))


def present(name: str) -> list[str]:
    """The cluster's cable, if it is on the machine (its namespace is among the mounts)."""
    return [f"network link {machine_end(name)}"] if machine_end(name) in _links() else []


def machine_end(name: str) -> str:
    """A link's name has at most 15 characters."""
    return f"mc{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def free_cable(name: str, in_use: Iterable[str]) -> int:
    """The first address, as a number, of a /30 in which no address is in use; the search starts at the name's hash."""
    taken = {int(ipaddress.ip_address(address)) & ~3 for address in in_use}
    count = _CABLES.num_addresses // 4
    start = int(hashlib.sha256(name.encode()).hexdigest(), 16) % count
    for step in range(count):
        cable = int(_CABLES.network_address) + 4 * ((start + step) % count)
        if cable not in taken:
            return cable
    raise MachineError(f"no free /30 network is left in {_CABLES}")


def _masquerade() -> str:
    """Pods reach what is outside of the cluster as the node, since nothing out there has a route back to them."""
    chain = "ip modelcycle postrouting"
    return (
        "add table ip modelcycle\n"
        f"add chain {chain} {{ type nat hook postrouting priority 100; }}\n"
        f'add rule {chain} ip saddr {POD_RANGE} oifname "{_INNER}" masquerade\n'
    )


def _addresses_in_use() -> list[str]:
    links = json.loads(_ip("-json", "-4", "address", "show") or "[]")
    return [address["local"] for link in links for address in link.get("addr_info", [])]


def _links() -> set[str]:
    folder = Path("/sys/class/net")
    return {link.name for link in folder.iterdir()} if folder.is_dir() else set()


def _ip(*arguments: str, inside: Network | None = None) -> str:
    return _inside(inside, "ip", *arguments) if inside else _run("ip", *arguments)


def _inside(network: Network, *command: str, given: str | None = None) -> str:
    return _run("nsenter", f"--net={network.namespace}", *command, given=given)


def _run(*command: str, given: str | None = None) -> str:
    environment = os.environ | {"PATH": SYSTEM_PATH}
    answer = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)
    if answer.returncode:
        problem = f"{' '.join(command)} failed: {answer.stderr.strip()}"
        raise MachineError(problem, do="root with CAP_NET_ADMIN is needed")
    return answer.stdout
