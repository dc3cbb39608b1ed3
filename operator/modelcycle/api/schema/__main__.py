"""`python -m modelcycle.api.schema`: write the files that come from the API models below the current folder."""

from __future__ import annotations

from pathlib import Path

from modelcycle.api.schema import crd, reference

# Helm reads only what lies in the chart.
CRD_FOLDERS = (Path("crds"), Path("helm/modelcycle/files/crds"))


def generated() -> dict[Path, str]:
    """Path relative to the root of the repository -> content, for every file that comes from the API models."""
    crds = {folder / name: text for folder in CRD_FOLDERS for name, text in crd.render().items()}
    return crds | {Path("docs/reference/api.md"): reference.render()}


def main() -> None:
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
