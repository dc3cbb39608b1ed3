"""The report: a page for people, JSON for programs, a table for the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from e2e.demo import plots
from e2e.demo.results import SERIES, Results, as_json, promoted
from e2e.demo.yardsticks import WEEK

OUTCOMES = {
    "Promoted": "took over",
    "GateRejected": "refused by the gate",
    "GateUnknown": "the gate can't tell",
    "TrainingFailed": "training failed",
    "RolledBack": "rolled back",
    "Superseded": "superseded",
    "Aborted": "aborted",
    "Observed": "observed only",
    "UnderWay": "under way",
}
TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_report(results: Results, folder: Path) -> Path:
    """Write report.json and report.html; gives the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(as_json(results), indent=1) + "\n")
    page = folder / "report.html"
    page.write_text(render_page(results))
    return page


def render_page(results: Results) -> str:
    """One self-contained page."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    drawn = {
        "gain": plots.draw_gain,
        "correlation": plots.draw_correlation,
        "versions": plots.draw_versions,
        "quarters": plots.draw_quarters,
    }
    return environment.from_string(TEMPLATE.read_text()).render(
        cards=_cards(results),
        names=plots.NAMES,
        days=len(results.days),
        first=results.days[0],
        last=results.days[-1],
        trained_until=results.replayed.get("asOf", "2006")[:4],
        conclusion=conclude(results),
        retrains=results.retrains,
        outcomes=OUTCOMES,
        periods=[one | {"best": min(one[name] for name in SERIES)} for one in results.periods()],
        stages=results.stages,
        counts=results.counts,
        events=results.events,
        # Drawn by us from numbers: no text of others is in them.
        **{name: Markup(_inline(draw(results))) for name, draw in drawn.items()},  # noqa: S704
    )


def render_table(results: Results) -> str:
    """The quarters, totals and retrainings for a terminal."""
    lines = ["quarter    no hedge  never retrained  modelcycle  weekly ridge"]
    rows = [(one["period"], one) for one in results.periods()] + [("all days", results.totals())]
    lines += [
        f"{name:<10} {row['none']:8.3f}  {row['static']:15.3f}  {row['loop']:10.3f}  {row['weekly']:12.3f}"
        for name, row in rows
    ]
    lines += ["", f"{len(results.retrains)} retrainings, {len(promoted(results))} of them took over:"]
    lines += [_retrain_line(one) for one in results.retrains]
    lines += ["", "seconds: " + ", ".join(f"{name} {seconds:.0f}" for name, seconds in results.stages.items())]
    return "\n".join(lines)


def _retrain_line(one: dict[str, Any]) -> str:
    evidence, gate = one["evidence"], one["gate"]
    said = f"{gate['outcome']}: {gate['message']}" if gate else "no gate"
    return (
        f"  {one['date']}  {one['trigger']} {evidence['value']} > {evidence['threshold']}; {said}; "
        f"version {one['versions']['challenger']} {OUTCOMES[one['verdict']]}"
    )


def conclude(results: Results) -> str:
    """What came of it, in a sentence."""
    took_over, totals = promoted(results), results.totals()
    if not took_over:
        return f"Of {len(results.retrains)} retrained models none took over, so that the first one served all days."
    percent = 100 * (totals["loop"] / totals["static"] - 1)
    than = f"{abs(percent):.0f} % {'higher' if percent > 0 else 'lower'} than"
    return (
        f"Of {len(results.retrains)} retrained models {len(took_over)} took over, the first on {took_over[0]['date']}; "
        f"over all days the error is {than} the first model's."
    )


def _cards(results: Results) -> list[dict[str, str]]:
    totals = results.totals()
    refits = len(range(0, len(results.days), WEEK))
    words = {
        "none": "oil left alone",
        "static": _against_none(totals["static"], totals["none"]),
        "loop": f"{_against_none(totals['loop'], totals['none'])}; {len(results.retrains)} trainings, "
        f"{len(promoted(results))} took over",
        "weekly": f"{_against_none(totals['weekly'], totals['none'])}; {refits} trainings",
    }
    return [
        {"name": plots.NAMES[name], "value": f"{totals[name]:.3f}", "words": words[name], "color": plots.COLORS[name]}
        for name in SERIES
    ]


def _against_none(value: float, none: float) -> str:
    percent = 100 * (value / none - 1)
    return f"{abs(percent):.0f} % {'worse' if percent > 0 else 'better'} than no hedge"


def _inline(svg: str) -> str:
    """Leave out the XML prologue, which has no place inside of HTML."""
    return svg[svg.index("<svg") :]
