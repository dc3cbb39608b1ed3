"""``python -m modelcycle_runtime.serve``: the container ``serve``.

On a developer's machine: ``MODELCYCLE_SERVE='{"modelDir": "/tmp/version"}'``, a folder with ``model/model.onnx``.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys

from modelcycle_runtime.contract import ENV_SERVE
from modelcycle_runtime.errors import Failure
from modelcycle_runtime.errors.termination import write_failure
from modelcycle_runtime.serve.loading import load
from modelcycle_runtime.serve.monitoring import Monitoring, State
from modelcycle_runtime.serve.server import serve
from modelcycle_runtime.serve.settings import parse_settings


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    # What takes the runtime down is a signal, which else would end the process without a word.
    faulthandler.enable()
    # As process 1 of a container we would be deaf to SIGTERM while the model loads.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        run()
    except Failure as failure:
        write_failure(failure)
        return failure.exit_code
    return 0


def run() -> None:
    settings = parse_settings(os.environ.get(ENV_SERVE, "{}"))
    state = State()
    monitoring = Monitoring(state, settings.metrics_port)
    try:
        loaded = load(settings)
        asyncio.run(serve(settings, loaded, state))
    finally:
        monitoring.close()


if __name__ == "__main__":
    sys.exit(main())
