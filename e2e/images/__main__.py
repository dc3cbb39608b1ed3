"""The command line: `python -m e2e.images build | list | path | run`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from e2e.images.builder import RunRequest
from e2e.images.catalogue import DEFAULT_REPOSITORY, RECIPES, ROOT
from e2e.images.errors import ImagesError
from e2e.images.image import build, describe, run

MEBIBYTE = 1 << 20
REPOSITORY_IN_IMAGE = "/repository"
# The statuses that a shell gives.
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; an ImagesError becomes text and status 1."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.action(options))
    except ImagesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _build(options: argparse.Namespace) -> int:
    for image in build(options.names, repository=options.repository, push=options.push):
        print(image.reference)
    return 0


def _list(_options: argparse.Namespace) -> int:
    for image in describe():
        size = f"{image.archive.stat().st_size / MEBIBYTE:6.0f} MiB" if image.archive.exists() else " not built"
        print(f"{image.name:<11}{size}  {image.reference}")
    return 0


def _path(options: argparse.Namespace) -> int:
    (image,) = describe([options.name])
    if not image.archive.exists():
        message = f"{image.reference} is not built yet: python -m e2e.images build {image.name}"
        raise ImagesError(message)
    print(image.archive)
    return 0


def _run(options: argparse.Namespace) -> int:
    mounts = [_mount(text) for text in options.mount]
    if options.repo:
        mounts.append((ROOT, f"{REPOSITORY_IN_IMAGE}:ro"))
    environment = dict(_assignment(text) for text in options.env)
    return run(options.name, RunRequest("", tuple(options.command), tuple(mounts), environment))


def _mount(text: str) -> tuple[Path, str]:
    source, separator, target = text.partition(":")
    if not separator or not target.startswith("/"):
        message = f"--mount {text}: write HOST_PATH:/path/in/the/image, and :ro behind it to keep it unchanged."
        raise ImagesError(message)
    return Path(source).absolute(), target


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        message = f"--env {text}: write NAME=VALUE."
        raise ImagesError(message)
    return name, value


def _parser() -> argparse.ArgumentParser:
    names = [each.name for each in RECIPES]
    parser = argparse.ArgumentParser(prog="python -m e2e.images", description="Build and use modelcycle's images.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("build", help="build images (all of them by default) and print their references")
    command.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    command.add_argument("--repository", default=DEFAULT_REPOSITORY, metavar="PREFIX", help="call them PREFIX/NAME:KEY")
    command.add_argument("--push", action="store_true", help="and push them there")
    command.set_defaults(action=_build)

    command = commands.add_parser("list", help="list the images, and which are built")
    command.set_defaults(action=_list)

    command = commands.add_parser("path", help="print the OCI archive of a built image")
    command.add_argument("name", choices=names)
    command.set_defaults(action=_path)

    command = commands.add_parser("run", help="run a command in an image's file system, without a cluster")
    command.add_argument(
        "--repo", action="store_true", help=f"with this repository, read-only, at {REPOSITORY_IN_IMAGE}"
    )
    command.add_argument("--mount", action="append", default=[], metavar="HOST:PATH[:ro]", help="with a host folder")
    command.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="with a variable")
    command.add_argument("name", choices=names)
    command.add_argument("command", nargs="+", metavar="COMMAND", help="behind --")
    command.set_defaults(action=_run)
    return parser


if __name__ == "__main__":
    # So that an ended build or run takes its children along and tidies up, as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    sys.exit(main())
