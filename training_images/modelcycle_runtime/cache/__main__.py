"""``python -m modelcycle_runtime.cache``: the pod of the DaemonSet."""

from __future__ import annotations

import os
import signal
import sys
import threading

from modelcycle_runtime.cache.claims import Claims
from modelcycle_runtime.cache.metrics import Metrics
from modelcycle_runtime.cache.server import CacheServer
from modelcycle_runtime.cache.settings import parse_settings
from modelcycle_runtime.cache.store import Store
from modelcycle_runtime.contract import ENV_CACHE
from modelcycle_runtime.errors import Failure, UserError
from modelcycle_runtime.errors.termination import write_failure
from modelcycle_runtime.serve.monitoring import Monitoring, State


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(os.environ.get(ENV_CACHE, ""), stop)
    except Failure as failure:
        write_failure(failure)
        return failure.exit_code
    return 0


def run(text: str, stop: threading.Event) -> None:
    """Serves until ``stop`` is set.

    Raises:
        UserError: the settings or the folder can't be used.
    """
    settings, metrics, state = parse_settings(text), Metrics(), State()
    state.metrics = metrics.exposed
    monitoring = Monitoring(state, settings.metrics_port)
    try:
        store = Store(settings.folder, settings.size, metrics.evicted.inc)
    except OSError as error:
        raise UserError(f"{settings.folder} can't be used: {error.strerror}") from error
    metrics.watch(store)
    server = CacheServer(store, Claims(), metrics, settings.port)
    server.start()
    state.become_ready()
    sys.stderr.write(f"cache: {store.files} files, {store.used} of {settings.size} bytes, on port {server.port}\n")
    stop.wait()
    state.drain()
    server.close()
    monitoring.close()


if __name__ == "__main__":
    sys.exit(main())
