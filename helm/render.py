"""`python -m helm.render`: write manifests/install-*.yaml and the chart's README from the chart.

Whoever does not use Helm applies the manifests; a test compares them with what the chart gives.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import binaries

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "modelcycle"
NAMESPACE = "modelcycle-system"
RELEASE = "modelcycle"
KUBERNETES = "1.34.0"
INSTALLS = {"install-default.yaml": None, "install-ha.yaml": CHART / "examples" / "ha.yaml"}

_HEADER = """\
# Generated from helm/modelcycle by `make manifests`; changes by hand are lost.
# kubectl apply --server-side -f manifests/{name}
"""
_NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}
Schema = dict[str, Any]


class ChartError(Exception):
    """Helm refused; the text is what it says."""


def template(*arguments: str, release: str = RELEASE, namespace: str = NAMESPACE) -> str:
    """The chart's YAML for the given arguments of `helm template`; raises ``ChartError``."""
    command = ["template", release, str(CHART), f"--namespace={namespace}", f"--kube-version={KUBERNETES}"]
    return run([*command, *arguments])


def run(arguments: Sequence[str]) -> str:
    """What helm prints; raises ``ChartError`` with what it complains about."""
    command = [str(binaries.program("helm")), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ChartError(answer.stderr.strip())
    return answer.stdout


def install(name: str) -> str:
    """A whole install as plain YAML, its namespace first."""
    values = INSTALLS[name]
    rendered = template(*([f"--values={values}"] if values else []))
    return f"{_HEADER.format(name=name)}---\n{yaml.safe_dump(_NAMESPACE, sort_keys=False)}{rendered}"


def readme() -> str:
    """README.md of the chart: its introduction and a table of all values."""
    introduction = (CHART / "README.head.md").read_text(encoding="utf-8")
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    rows = (f"| `{path}` | `{json.dumps(value)}` | {text} |" for path, value, text in described(schema, values))
    return introduction + "\n".join(["| value | default | meaning |", "|---|---|---|", *rows, ""])


def described(schema: Schema, values: Any, path: str = "") -> Iterator[tuple[str, Any, str]]:  # noqa: ANN401
    """(path, default, description) of every value that is not an object with fixed fields."""
    for name, child in schema["properties"].items():
        if name not in values:
            continue
        here = f"{path}.{name}".lstrip(".")
        if "properties" in child:
            yield from described(child, values[name], here)
        else:
            yield here, values[name], child["description"]


def generated() -> dict[Path, str]:
    """Path -> content of every file that comes from the chart."""
    installs = {ROOT / "manifests" / name: install(name) for name in INSTALLS}
    return installs | {CHART / "README.md": readme()}


def main() -> None:
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
