"""The command line: ``python -m e2e.demo [run | report | experiment | thresholds]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import ClusterError
from e2e.demo import experiment, stages, thresholds
from e2e.demo.kube import DemoError
from e2e.demo.report import render_table, write_report
from e2e.demo.settings import Settings
from e2e.demo.story import tell
from e2e.images import ImagesError
from e2e.install import InstallError
from e2e.progress import step


def main(given: Sequence[str] | None = None) -> int:
    """Do what the command line says; what goes wrong becomes text and status 1."""
    options = _parser().parse_args(given)
    try:
        return int(_COMMANDS[options.command](options))
    except (ClusterError, DemoError, ImagesError, InstallError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it stopped", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    run = stages.Run(_settings(options))
    for stage in stages.STAGES:
        stage(run)
    _report(options)
    stages.say_goodbye(run)
    return 0


def _report(options: argparse.Namespace) -> int:
    settings = _settings(options)
    with step("writing the report", quiet=True):
        results = tell(settings.gathered)
        page = write_report(results, settings.out)
    print(render_table(results))
    print(f"\n{page}")
    return 0


def _experiment(options: argparse.Namespace) -> int:
    outcomes = experiment.run(options.seeds, torch=options.torch)
    print(experiment.render(outcomes))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "experiment.json").write_text(experiment.record(outcomes) + "\n")
    return 0


def _thresholds(_options: argparse.Namespace) -> int:
    thresholds.main()
    return 0


_COMMANDS = {"run": _run, "report": _report, "experiment": _experiment, "thresholds": _thresholds}


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        cluster=options.name,
        provider=options.provider,
        kubeconfig=options.kubeconfig,
        namespace=options.namespace,
        first=options.first,
        last=options.last,
        days=options.days,
        out=options.out,
    )


def _parser() -> argparse.ArgumentParser:
    usual = Settings()
    parser = argparse.ArgumentParser(prog="python -m e2e.demo", description="The hedge that 2008 broke.")
    parser.add_argument(
        "command",
        nargs="?",
        default="run",
        choices=list(_COMMANDS),
        help="run: all of it (the default). report: once more from what was gathered. experiment: outside of a "
        "cluster. thresholds: where the policy's numbers come from.",
    )
    parser.add_argument("--name", default=usual.cluster, help="the cluster's name (default %(default)s)")
    parser.add_argument("--provider", default=usual.provider, help="how a cluster is made (default %(default)s)")
    parser.add_argument("--kubeconfig", type=Path, help="use this cluster, and make none")
    parser.add_argument("--namespace", default=usual.namespace, help="of the sample (default %(default)s)")
    parser.add_argument("--first", default=usual.first, metavar="DAY", help="replay from here (default %(default)s)")
    parser.add_argument("--last", default=usual.last, metavar="DAY", help="to here (default %(default)s)")
    parser.add_argument("--days", type=int, metavar="N", help="only N trading days")
    parser.add_argument("--out", type=Path, default=usual.out, help="folder of the report (default out/demo)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="experiment: seeds 1 to N (default 5)")
    parser.add_argument(
        "--no-torch", dest="torch", action="store_false", help="experiment: a ridge regression, without any image"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
