"""A server's life: serve, drain."""

from __future__ import annotations

import asyncio
import logging
import signal

import modelcycle_core as core
from modelcycle_runtime.contract import PORT_HTTP
from modelcycle_runtime.errors import UserError
from modelcycle_runtime.serve.desk import Desk
from modelcycle_runtime.serve.feedback import Ledger
from modelcycle_runtime.serve.loading import Loaded
from modelcycle_runtime.serve.metrics import Metrics
from modelcycle_runtime.serve.monitoring import State
from modelcycle_runtime.serve.peers import Peers, parse_names
from modelcycle_runtime.serve.settings import Settings
from modelcycle_runtime.serve.tell import Teller
from modelcycle_runtime.serve.tokens import Signer

log = logging.getLogger(__name__)


async def serve(settings: Settings, loaded: Loaded, state: State) -> None:
    """Serves until SIGTERM or SIGINT, then drains; returns when the last request was answered."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = _listen(settings, loaded)
    desk = _desk(settings, loaded)
    teller = Teller(server, settings)
    state.metrics = Metrics(settings, server, loaded, desk.ledger, teller.lost).text
    clerk = asyncio.create_task(_take_feedback(server, desk))
    state.become_ready()
    log.info("serving %s version %s on port %d", settings.model, settings.version, settings.port)
    try:
        await stop.wait()
        await _drain(server, state, settings.drain_seconds)
    finally:
        await asyncio.to_thread(server.close)
    await clerk
    await asyncio.to_thread(teller.join)
    await desk.peers.close()
    log.info("drained")


def _listen(settings: Settings, loaded: Loaded) -> core.Server:
    try:
        return core.Server(
            loaded.arranged.model.engine,
            loaded.arranged.plan,
            model=settings.model,
            version=int(settings.version),
            key=loaded.key,
            port=settings.port,
            workers=settings.cpus,
            runners=loaded.arranged.runners,
            max_body_bytes=settings.max_body_bytes,
            max_requests_per_connection=settings.max_requests_per_connection,
            columns=loaded.columns,
            features=loaded.histograms.columns(),
            predictions=loaded.histograms.outputs(),
            traced=None if settings.traces is None else settings.traces.sample_ratio,
            logged=None if settings.payload_log is None else settings.payload_log.sample_ratio,
        )
    except OSError as error:
        raise UserError(f"MODELCYCLE_SERVE: {error}") from error


def _desk(settings: Settings, loaded: Loaded) -> Desk:
    path = f"/v2/models/{settings.model}/feedback"
    peers = Peers(parse_names(settings.peers, PORT_HTTP), settings.port, path)
    return Desk(Ledger(loaded.scorer, settings.duplicate_window_rows), Signer(loaded.key), peers)


async def _take_feedback(server: core.Server, desk: Desk) -> None:
    """Answers feedback until there is no more."""
    async with asyncio.TaskGroup() as answers:
        while (feedback := await asyncio.to_thread(server.next_feedback)) is not None:
            answers.create_task(_answer(feedback, desk))


async def _answer(feedback: core.Feedback, desk: Desk) -> None:
    try:
        status, body = await desk.answer(feedback.body, handed_over=feedback.handed_over)
    except Exception:
        log.exception("feedback failed")
        status, body = 500, b'{"error":"the server failed; its log says why"}'
    feedback.answer(status, body)


async def _drain(server: core.Server, state: State, seconds: float) -> None:
    """Not ready from now on, but at work until the Services have noticed."""
    state.drain()
    server.drain()
    log.info("draining: serving for another %g s", seconds)
    await asyncio.sleep(seconds)
