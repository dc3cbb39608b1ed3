"""The command line: python -m e2e.cluster up|down|status|load-image|kubeconfig|bin."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import binaries
from e2e.cluster.errors import ClusterError
from e2e.cluster.options import DEFAULT_GPUS, DEFAULT_NAME, Options
from e2e.cluster.providers.choice import PROVIDERS, choose
from e2e.progress import say, step


def main(given: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(given)
    try:
        return _do(arguments)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _do(arguments: argparse.Namespace) -> int:
    if arguments.command == "bin":
        print(binaries.program(arguments.program))
        return 0
    options = Options(
        name=arguments.name,
        control_plane_only=arguments.control_plane_only,
        controllers=arguments.controllers,
        gpus=arguments.gpus,
        kubeconfig=arguments.kubeconfig,
    )
    provider = choose(arguments.provider, options)
    match arguments.command:
        case "up":
            provider.up(options)
            say(f"cluster {options.name} is up: export KUBECONFIG={provider.kubeconfig()}")
        case "down":
            with step(f"taking the cluster {options.name} down", quiet=True):
                provider.down()
        case "load-image":
            with step(f"loading {arguments.archive.name}"):
                provider.load_image(arguments.archive)
        case "kubeconfig":
            print(provider.kubeconfig())
        case "status":
            status = provider.status()
            print("\n".join((f"{options.name} ({provider.name})", *status.lines)))
            return 0 if status.running else 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description="A Kubernetes cluster on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    common = _common_options()
    up = commands.add_parser("up", parents=[common], help="bring the cluster up, unless it is")
    up.add_argument("--control-plane-only", action="store_true", help="etcd and kube-apiserver only: no root needed")
    up.add_argument("--controllers", action="store_true", help="with --control-plane-only: kube-controller-manager too")
    up.add_argument("--gpus", type=int, default=DEFAULT_GPUS, help="nvidia.com/gpu of the node (default %(default)s)")
    commands.add_parser("down", parents=[common], help="take it away and leave nothing")
    commands.add_parser("status", parents=[common], help="what runs; exit status 3 when it does not")
    load = commands.add_parser("load-image", parents=[common], help="import an OCI or Docker archive")
    load.add_argument("archive", type=Path)
    commands.add_parser("kubeconfig", parents=[common], help="print the path of its kubeconfig")
    programs = commands.add_parser("bin", help="print the path of a program, built first if needed")
    programs.add_argument("program", help="kubectl, helm, kwok, ...")
    return parser


def _common_options() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=DEFAULT_NAME, help="the cluster's name (default %(default)s)")
    common.add_argument("--provider", choices=PROVIDERS, default="auto", help="default: the first that can do it")
    common.add_argument("--kubeconfig", type=Path, help="use this cluster, and make none")
    common.set_defaults(control_plane_only=False, controllers=False, gpus=DEFAULT_GPUS)
    return common


if __name__ == "__main__":
    sys.exit(main())
