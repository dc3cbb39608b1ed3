"""Scenes that take minutes are started together, at the beginning; the tests look at each when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from e2e.progress import say
from e2e.scenarios.system import System

Scene = Callable[[System], Any]


class Stage:
    """Plays scenes side by side, each in a thread of its own."""

    def __init__(self, system: System, scenes: Mapping[str, Scene]) -> None:
        self._pool = ThreadPoolExecutor(max_workers=max(len(scenes), 1))
        self._playing = {name: self._pool.submit(_timed, name, scene, system) for name, scene in scenes.items()}

    def seen(self, name: str) -> Any:  # noqa: ANN401
        """What the scene gave, once it is over; raises what it raised."""
        return self._playing[name].result()

    def wait(self) -> None:
        """Wait until all scenes are over, well or not: from now on nobody minds what is taken away."""
        for playing in self._playing.values():
            playing.exception()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _timed(name: str, scene: Scene, system: System) -> Any:  # noqa: ANN401
    started = time.monotonic()
    try:
        return scene(system)
    finally:
        say(f"scene {name}: over after {time.monotonic() - started:.0f}s")
