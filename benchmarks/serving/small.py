"""The small network: how fast each server is, round by round, and how late its answers come at given rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.serving import bodies, models, peers, servers
from benchmarks.serving.figures import cost, ratio
from benchmarks.serving.load import WARM_UP, Load, Request, closed, planned
from benchmarks.serving.peers import PEERS, Peer
from benchmarks.serving.report import Point, Rate, Report
from benchmarks.serving.servers import Server
from benchmarks.serving.sizes import Sizes
from e2e.progress import say

ROWS = 32
"""Of a binary request."""
POINTS = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95)
"""Of a server's best rate, on the plot."""
_RELATED = {"MLServer": "mlserver", "mlflow": "mlflow", "LitServe": "litserve", "KServe": "kserve"}


@dataclass(frozen=True)
class Case:
    """Requests of one kind to one server; ``by_grpc`` to its other address."""

    name: str
    server: Server
    request: Request

    def closed(self, seconds: float) -> tuple[Load, float]:
        """As fast as it answers; and the share of its CPU that it used."""
        with self.server.awake():
            before = self.server.cpu()
            load = closed(self._address, self.request, seconds)
            return load, (self.server.cpu() - before) / (seconds * (1 + WARM_UP))

    def planned(self, seconds: float, rate: float) -> Load:
        with self.server.awake():
            return planned(self._address, self.request, seconds, rate)

    @property
    def _address(self) -> str:
        return self.server.grpc if self.request.scheme == "grpc" else self.server.address


@dataclass(frozen=True)
class Field:
    """Everything that runs side by side; in ``cases`` those whose requests are JSON."""

    echo: Case
    ours: Case
    peers: Mapping[str, Case]
    binary: Case
    binary_peer: Case

    @property
    def cases(self) -> list[Case]:
        return [self.echo, self.ours, *self.peers.values()]


@contextmanager
def started(folder: Path, programs: Path) -> Iterator[Field]:
    """The echo, ours, and all peers, with the small network."""
    small = models.small()
    name = small.name
    version = small.save(folder / "watched", baseline=models.small_baseline())
    path = version / "model" / "model.onnx"
    one, many = _rows(small, 1), _rows(small, ROWS)
    with ExitStack() as stack:
        say("starting the servers")
        floor = stack.enter_context(servers.echo(programs, folder))
        ours = stack.enter_context(servers.ours(version, name, folder / "ours.log"))
        others = {}
        for peer in PEERS:
            server = stack.enter_context(peers.serve(peer, name, path, folder / peer.name))
            others[peer.name] = Case(peer.name, server, peer.request(folder / peer.name, name, one))
        body = bodies.v2_json(folder, name, one)
        mlserver = others["MLServer"].server
        yield Field(
            Case("echo", floor, Request("/echo", body.body)),
            Case("modelcycle", ours, body),
            others,
            Case(f"modelcycle, binary, {ROWS} rows", ours, bodies.v2_binary(folder, name, many)),
            Case(f"MLServer, gRPC, {ROWS} rows", mlserver, bodies.v2_grpc(folder, name, many)),
        )


def rates(field: Field, sizes: Sizes, report: Report) -> None:
    """All servers in turns, as fast as they answer."""
    found: dict[str, list[tuple[Load, float]]] = {}
    for i in range(sizes.rounds):
        say(f"rates: round {i + 1} of {sizes.rounds}")
        for case in [*field.cases, field.binary, field.binary_peer]:
            found.setdefault(case.name, []).append(case.closed(sizes.seconds))
    report.rates |= {name: _rate(loads) for name, loads in found.items()}
    speed = {name: [load.rate for load, _ in loads] for name, loads in found.items()}
    ours = speed[field.ours.name]
    report.figures |= {f"json_{_RELATED[name]}": ratio(ours, speed[name]) for name in field.peers}
    report.figures["echo_share"] = ratio(ours, speed[field.echo.name])
    report.figures["binary_mlserver"] = ratio(speed[field.binary.name], speed[field.binary_peer.name])


def halves(field: Field, sizes: Sizes, report: Report) -> None:
    """P99 at half of each peer's best rate: of the peer, and of ours at the same rate."""
    for name, peer in field.peers.items():
        say(f"latency at half of {name}'s best rate")
        theirs, ours = [], []
        for _ in range(sizes.half_rounds):
            rate = peer.closed(sizes.seconds)[0].rate / 2
            theirs.append(peer.planned(sizes.half_seconds, rate))
            ours.append(field.ours.planned(sizes.half_seconds, rate))
        # Ours with what the generator adds, which is much beside so little: the figure is not better than the truth.
        pairs = [(a.at_most["p99"], b.latency["p99"]) for a, b in zip(ours, theirs, strict=True) if b.kept_up]
        report.figures |= _compared(f"p99_{_RELATED[name]}", pairs)
        report.seen[f"at half of {name}'s best rate"] = {name: _told(theirs), "modelcycle": _told(ours)}


def curves(field: Field, sizes: Sizes, report: Report) -> None:
    """Latency over throughput, for the plot."""
    for case in field.cases:
        say(f"latency at {len(POINTS)} rates: {case.name}")
        best = case.closed(sizes.seconds)[0].rate
        for share in POINTS:
            load = case.planned(sizes.curve_seconds, best * share)
            if load.kept_up:
                point = Point(load.rate, load.latency["p50"], load.latency["p99"])
                report.curves.setdefault(case.name, []).append(point)


def tail(field: Field, sizes: Sizes, report: Report) -> None:
    """P99.9 over p50 at 70 % of capacity, ours and the echo's in turns."""
    pieces = max(1, round(sizes.tail_seconds / sizes.tail_piece))
    cases = {"echo": field.echo, "ours": field.ours}
    capacity = {name: case.closed(sizes.seconds)[0].rate for name, case in cases.items()}
    found: dict[str, list[Load]] = {name: [] for name in cases}
    for i in range(pieces):
        say(f"at 70 % of capacity: piece {i + 1} of {pieces}")
        for name, case in cases.items():
            found[name].append(case.planned(sizes.tail_seconds / pieces, 0.7 * capacity[name]))
    both = zip(found["ours"], found["echo"], strict=True)
    report.figures |= _compared("tail", [(a.tail, b.tail) for a, b in both if a.kept_up and b.kept_up])
    report.figures["tail_failed"] = sum(load.failed for load in found["ours"])
    report.seen["at 70 % of capacity"] = {
        "capacity": capacity,
        **{name: _told(loads) for name, loads in found.items()},
    }


def watching(folder: Path, sizes: Sizes, report: Report) -> None:
    """What histograms and tokens cost: a version with a baseline beside one without, in many short rounds."""
    small = models.small()
    body = bodies.v2_json(folder, small.name, _rows(small, 1))
    with ExitStack() as stack:
        cases = []
        for name, baseline in (("plain", None), ("watched", models.small_baseline())):
            version = small.save(folder / name, baseline=baseline)
            server = stack.enter_context(servers.ours(version, small.name, folder / f"{name}.log", name))
            cases.append(Case(name, server, body))
        found: dict[str, list[float]] = {case.name: [] for case in cases}
        for i in range(sizes.cost_rounds):
            if i % 10 == 0:
                say(f"histograms and tokens: round {i + 1} of {sizes.cost_rounds}")
            for case in cases if i % 2 else cases[::-1]:
                found[case.name].append(case.closed(sizes.cost_seconds)[0].rate)
    report.figures["cost"] = cost(found["plain"], found["watched"])
    report.seen["with and without histograms and tokens, requests/s"] = found


def variants(folder: Path, sizes: Sizes, report: Report) -> None:
    """The peers' settings that were tried, each alone."""
    small = models.small()
    path = small.save(folder / "small") / "model" / "model.onnx"
    for number, peer in enumerate(peers.VARIANTS):
        place = folder / str(number)
        with peers.serve(peer, small.name, path, place) as server:
            for name, request in _requests(peer, place, small):
                loads = [Case(name, server, request).closed(sizes.seconds) for _ in range(2)]
                report.rates[name] = _rate(loads)
                say(f"{name}: {median(load.rate for load, _ in loads):,.0f} requests/s")


def _requests(peer: Peer, folder: Path, small: models.Model) -> Iterator[tuple[str, Request]]:
    yield peer.name, peer.request(folder, small.name, _rows(small, 1))
    if isinstance(peer, peers.MLServer):
        yield f"{peer.name}, gRPC, {ROWS} rows", bodies.v2_grpc(folder, small.name, _rows(small, ROWS))


def _compared(name: str, pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The figure, by the rounds in which the generator kept up; none where there is no such round."""
    if not pairs:
        say(f"{name}: the generator did not keep up, and nothing is known")
        return {}
    return {name: ratio([a for a, _ in pairs], [b for _, b in pairs])}


def _rows(model: models.Model, count: int) -> bodies.Rows:
    return {name: values[:count] for name, values in model.rows.items()}


def _rate(loads: Sequence[tuple[Load, float]]) -> Rate:
    return Rate(
        tuple(load.rate for load, _ in loads),
        _middle(loads, "p50"),
        _middle(loads, "p99"),
        sum(load.failed for load, _ in loads),
        median(load.cpu for load, _ in loads),
        median(cpu for _, cpu in loads),
    )


def _middle(loads: Sequence[tuple[Load, float]], name: str) -> float | None:
    found = [load.latency[name] for load, _ in loads if load.kept_up]
    return median(found) if found else None


def _told(loads: Sequence[Load]) -> list[dict[str, object]]:
    return [{"rate": load.rate, "failed": load.failed, "kept_up": load.kept_up, **load.at_most} for load in loads]
