"""A scene against the map: exactly what is mapped changes, and what is mapped does change somewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.transitions.drive import Scene, Stage
from tests.transitions.effects import Map, When, covers
from tests.transitions.leaves import Spec, differing


class Findings:
    """What scenes have shown of a map: ``wrong`` in words, ``seen`` paths by leaf, ``played`` transitions."""

    def __init__(self, kind_map: Map) -> None:
        self.map = kind_map
        self.wrong: list[str] = []
        self.seen: dict[str, set[str]] = defaultdict(set)
        self.played = 0

    def play(self, scene: Scene) -> None:
        stage = Stage(scene)
        for transition in scene.transitions():
            touched = differing(scene.spec, transition.spec)
            if not scene.born and self._is_refused(scene, transition.spec, touched):
                continue
            changed = stage.changes(transition.spec)
            self.played += 1
            allowed = [path for leaf in touched for path in self.map.paths(leaf)]
            if strange := sorted(path for path in changed if not any(covers(one, path) for one in allowed)):
                self.wrong.append(f"{scene}: {transition}: not in the map: {', '.join(strange)}")
            self.seen[transition.leaf] |= changed

    def _is_refused(self, scene: Scene, spec: Spec, touched: set[str]) -> bool:
        """Whether the API server refuses the change of a live resource (tests/integration/transitions shows it)."""
        if any(self.map.leaves[leaf].when is When.CREATION for leaf in touched):
            return True
        return "deadlineSeconds" in touched and spec.get("deadlineSeconds", 86_400) < scene.spec.get(
            "deadlineSeconds", 0
        )

    def unseen(self, leaves: Iterable[str]) -> list[str]:
        """What the map promises and no scene has shown; of a decision, that something follows from it."""
        missing = []
        for leaf in leaves:
            row = self.map.leaves[leaf]
            untold = [one for one in row.changes if not any(covers(one, path) for path in self.seen[leaf])]
            missing += [f"{leaf} does not change {one}" for one in untold]
            for decision in row.decides:
                follows = self.map.decisions[decision].follows
                if not any(covers(one, path) for one in follows for path in self.seen[leaf]):
                    missing.append(f"{leaf} makes no difference to {decision}")
        return missing
