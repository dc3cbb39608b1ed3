"""The command line: ``modelcycle bench URL``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelcycle_client.bench.measure import Bench, Content, Lines, Progress, Settings, as_json, messages
from modelcycle_client.bench.report import table
from modelcycle_client.bench.target import parse_target
from modelcycle_client.errors import ClientError


def main(words: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(words)
    try:
        return _bench(arguments)
    except (ClientError, OSError, ValueError) as error:
        print(f"modelcycle bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _bench(arguments: argparse.Namespace) -> int:
    target = parse_target(arguments.url, arguments.model)
    settings = Settings(arguments.connections, arguments.seconds, arguments.warm_up, arguments.timeout, arguments.seed)
    content = Content(
        tuple(arguments.body),
        tuple(arguments.header),
        arguments.input,
        arguments.rows,
        arguments.length,
        arguments.tensors == "binary",
    )
    lines = Lines(sys.stderr.write, is_terminal=sys.stderr.isatty())
    progress: Progress = (lambda *_: None) if arguments.quiet else lines
    bench = Bench(target, messages(target, content, settings.seed), settings, progress)
    capacity: float | None = None
    if arguments.find:
        runs, capacity = bench.find(arguments.p99)
    else:
        runs = [bench.run(rate) for rate in (arguments.rate or [None])]
    lines.end()
    if arguments.json:
        print(as_json(arguments.url, runs, capacity))
        return 0
    print(table(runs))
    if arguments.find:
        found = "not known, as the generator did not keep up" if capacity is None else f"{capacity:,.0f}/s"
        print(f"carried with a p99 of at most {arguments.p99:g} ms: {found}")
    return 0


def _rates(text: str) -> list[float]:
    return [_positive(rate) for rate in text.split(",")]


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or "\n" in text or "\r" in text:
        raise ValueError(text)
    return name.strip(), value.strip()


# What argparse says of a value that is refused: invalid rates value: '0'.
_rates.__name__, _positive.__name__, _count.__name__, _header.__name__ = "rates", "number", "count", "header"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelcycle", description="Models that modelcycle serves, from outside.")
    commands = parser.add_subparsers(dest="command", required=True)
    bench = commands.add_parser("bench", help="measure a server", description="Measure a server.")
    bench.add_argument("url", help="http:// or grpc://HOST:PORT/v2/models/NAME; with --body any path or method")
    bench.add_argument("--model", help="its name, where the URL does not have it")
    how = bench.add_mutually_exclusive_group(required=True)
    how.add_argument("--rate", type=_rates, metavar="R[,R]", help="open loop: so many Poisson arrivals a second")
    how.add_argument("--find", action="store_true", help="the greatest rate with a p99 of at most --p99 and no failure")
    how.add_argument("--closed", action="store_true", help="closed loop: each connection sends again when answered")
    _numbers(bench)
    bench.add_argument("--tensors", choices=("binary", "json"), default="binary", help="default: %(default)s")
    bench.add_argument("--input", type=Path, metavar="FILE.npz", help="arrays by the names of inputs")
    bench.add_argument("--body", **_SEVERAL, type=Path, metavar="FILE", help="sent as it is; several are sent in turns")
    bench.add_argument("--header", **_SEVERAL, type=_header, metavar="'NAME: VALUE'", help="may be given several times")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.add_argument("--quiet", action="store_true", help="no progress")
    return parser


_SEVERAL: dict[str, Any] = {"action": "append", "default": []}


_SETTINGS, _CONTENT = Settings(), Content()


def _numbers(bench: argparse.ArgumentParser) -> None:
    for flag, convert, default, text in (
        ("--seconds", _positive, _SETTINGS.seconds, "seconds of each run, after its warm-up"),
        ("--warm-up", _positive, _SETTINGS.warm_up, "seconds before, which are not counted"),
        ("--timeout", _positive, _SETTINGS.timeout, "seconds from a request's planned time"),
        ("--p99", _positive, 10.0, "milliseconds, for --find"),
        ("--connections", _count, _SETTINGS.connections, "requests under way at most"),
        ("--seed", _count, _SETTINGS.seed, "of arrivals and made-up rows"),
        ("--rows", _count, _CONTENT.rows, "rows of a made-up request"),
        ("--length", _count, _CONTENT.length, "sizes that vary beside the first, of a made-up request"),
    ):
        bench.add_argument(flag, type=convert, default=default, metavar="N", help=f"{text}; default: {default:g}")
