"""What the pages say exists, and what exists is on a page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from modelcycle import constants, errors
from modelcycle.api.v1alpha1.retrain_status import CyclePhase
from modelcycle.api.v1alpha1.training import FailureClass
from modelcycle_runtime.evaluate import rules

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUNBOOKS = DOCS / "runbooks"
ALERTS = ROOT / "helm" / "modelcycle" / "files" / "alerts.yaml"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
GROUP = "modelcycle.dev/"


# --- alerts and runbooks ---------------------------------------------------------------------------------------------
def alerts() -> dict[str, str]:
    """Path of the runbook by name of the alert."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule["annotations"]["runbook"] for group in groups for rule in group["rules"]}


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    pages = {str(page.relative_to(ROOT)) for page in RUNBOOKS.glob("*.md")}
    assert pages == set(alerts().values())


@pytest.mark.parametrize(("alert", "path"), alerts().items(), ids=lambda value: str(value).rpartition("/")[2])
def test_a_runbook_says_what_somebody_needs_at_three_in_the_morning(alert: str, path: str) -> None:
    page = (ROOT / path).read_text(encoding="utf-8")
    assert page.startswith(f"# {alert}\n")
    sections = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert sections == ["Meaning", "Impact", "First look", "Causes and what to do"]
    assert "    kubectl " in page


# --- labels, annotations, tags ---------------------------------------------------------------------------------------
def constants_named(*prefixes: str) -> set[str]:
    return {value for name, value in vars(constants).items() if name.startswith(prefixes)}


@pytest.mark.parametrize(
    ("heading", "prefix"),
    [
        pytest.param("Labels", "LABEL_", id="labels"),
        pytest.param("Annotations", "ANNOTATION_", id="annotations"),
        pytest.param("Tags in MLflow", "TAG_", id="tags"),
    ],
)
def test_the_page_of_labels_has_what_the_code_has(heading: str, prefix: str) -> None:
    page = (DOCS / "reference" / "labels.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == constants_named(prefix)


# Not `modeltraining.modelcycle.dev/name`, which kubectl prints.
OWN_NAME = re.compile(r"(?<![.\w])modelcycle\.dev/[a-z][-a-z]*")


def test_no_page_names_a_label_that_does_not_exist() -> None:
    known = {*constants_named("LABEL_", "ANNOTATION_", "TAG_"), constants.FIELD_MANAGER, constants.STATUS_MANAGER}
    named = {(page.name, name) for page in PAGES for name in OWN_NAME.findall(text(page))}
    assert {(page, name) for page, name in named if name not in known and name != f"{GROUP}v"} == set()


# --- reasons ---------------------------------------------------------------------------------------------------------
REASON = re.compile(r"[A-Z][a-z]+([A-Z][a-z]*)*")
TAKE_A_REASON = frozenset(
    {
        *("Decision", "Finding", "Hold", "Judgement", "Ruling", "Stage", "Stall", "Trouble", "Unusable"),
        *("_setting", "_unknown", "dismiss", "end", "finding", "promote", "reject", "unknown", "unread"),
    }
)
HOLD_A_REASON = frozenset({"FATAL", "MALFORMED", "REASON_ERROR", "REASON_REFUSED", "reason"})
# Types of conditions, classes of termination messages, and reasons that end in nothing that is shown.
NO_REASONS = frozenset(
    {
        *("DriftDetected", "Ready", "RetrainIneffective", "Retraining", "Stalled", "Succeeded"),
        *("Digest", "Missing"),
        *("Unpinned", "WithinLimits"),
    }
)


def reasons_in(source: str) -> Iterator[str]:
    """Literals that are given to whatever takes a reason, or assigned to whatever holds one."""
    for node in ast.walk(ast.parse(source)):
        for value in _reasons_given(node):
            for part in ast.walk(value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and REASON.fullmatch(part.value):
                    yield part.value


def _reasons_given(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        return [*node.args, *(word.value for word in node.keywords)] if name in TAKE_A_REASON else []
    if isinstance(node, ast.Assign):
        names = {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
        return [node.value] if names & HOLD_A_REASON else []
    return []


def reasons_of_the_code() -> set[str]:
    sources = (ROOT / "operator" / "modelcycle").rglob("*.py")
    literal = {reason for source in sources for reason in reasons_in(source.read_text(encoding="utf-8"))}
    enumerated = {member.value for enum in (FailureClass, CyclePhase, rules.Reason) for member in enum}
    # Unusable has a reason of its own; of the others the class is the reason.
    terminal = {error.__name__ for error in errors.Terminal.__subclasses__() if error is not errors.Unusable}
    return (literal | enumerated | terminal) - NO_REASONS


def reasons_of_the_page() -> set[str]:
    page = (DOCS / "reference" / "conditions.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    verdicts = page.split("\n### Verdicts\n")[1].split("\n## ")[0]
    quoted = {name for part in (*cells, verdicts) for name in re.findall(r"`([A-Z][A-Za-z]+)`", part)}
    return (
        quoted
        - {"Ready", "Stalled", "Succeeded", "Progressing", "Degraded", "DriftDetected", "Retraining"}
        - {"RetrainIneffective"}
    )


def test_every_reason_is_explained() -> None:
    assert reasons_of_the_code() - reasons_of_the_page() == set()


def test_every_explained_reason_exists() -> None:
    assert reasons_of_the_page() - reasons_of_the_code() == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param('Stage("Pending", "starts")', {"Pending"}, id="positional"),
        pytest.param('Decision(number=0, reason="ObserveMode")', {"ObserveMode"}, id="by keyword"),
        pytest.param(
            'state, reason = (FIRING, "TooOld") if late else (CLEAR, "YoungEnough")',
            {"TooOld", "YoungEnough"},
            id="chosen",
        ),
        pytest.param('draft.finding(STALLED, "ModelClaimed", "it is taken")', {"ModelClaimed"}, id="a method"),
        pytest.param('print("Pending")', set(), id="something else"),
    ],
)
def test_reasons_are_found_in_code(source: str, found: set[str]) -> None:
    assert set(reasons_in(source)) == found


# --- links -----------------------------------------------------------------------------------------------------------
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    return {re.sub(r"[^-a-z0-9_ ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_named_in_text_exist(page: Path) -> None:
    """`docs/...`, `operator/modelcycle/...` and the like in backticks; placeholders in angle brackets are skipped."""
    folders = "crds|docs|e2e|helm|manifests|operator|requirements|tests|training_images"
    for path in re.findall(rf"`((?:{folders})/[-\w./]*)`", text(page)):
        assert (ROOT / path).exists(), path


def test_make_targets_named_exist() -> None:
    targets = set(re.findall(r"^([a-z][-a-z0-9]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {(page.name, name) for page in PAGES for name in re.findall(r"`make ([a-z][-a-z0-9]*)", text(page))}
    assert {(page, name) for page, name in named if name not in targets} == set()
