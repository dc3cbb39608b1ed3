"""A real Prometheus, taken from Debian's package without installing it, and a target whose counters a test sets."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.processes import free_port, serving

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: pods
  file_sd_configs: [{{files: ["{folder}/targets.json"], refresh_interval: 1s}}]
"""


@cache
def prometheus_binary() -> Path | None:
    """The program, from PATH or from Debian's package in the cache folder; None where neither can be had."""
    if found := shutil.which("prometheus"):
        return Path(found)
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache_home / "modelcycle" / "prometheus-deb"
    binary = folder / "usr" / "bin" / "prometheus"
    if not binary.exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        folder.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, capture_output=True, check=False)
        for package in folder.glob("prometheus_*.deb") if fetched.returncode == 0 else ():
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return binary if binary.exists() else None


@dataclass
class Target:
    """A pod's metrics page: ``samples`` maps ``name{labels}`` to a value; None answers 503."""

    samples: dict[str, float | str] | None = field(default_factory=dict)
    address: str = ""

    def page(self) -> str | None:
        if self.samples is None:
            return None
        return "".join(f"{series} {value}\n" for series, value in self.samples.items())


@contextmanager
def metrics_target() -> Iterator[Target]:
    """Serve a ``Target`` on a free port of the loopback."""
    target = Target()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = target.page()
            body = (page or "").encode()
            self.send_response(200 if page is not None else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        target.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield target
        server.shutdown()
        thread.join()


def backfill(binary: Path, folder: Path, openmetrics: str) -> None:
    """Give the server that will run in ``folder`` these samples of the past; promtool lies beside it."""
    (folder / "history.txt").write_text(openmetrics)
    tool = str(binary.with_name("promtool"))
    command = [tool, "tsdb", "create-blocks-from", "openmetrics", f"{folder}/history.txt", f"{folder}/data"]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def prometheus_server(binary: Path, folder: Path) -> Iterator[str]:
    """Scrape each second what ``folder/targets.json`` lists; gives the base URL. Ready in about a second."""
    (folder / "prometheus.yml").write_text(CONFIG.format(folder=folder))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        str(binary),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=warn",
    ]
    with serving(command, f"{url}/-/ready", folder / "prometheus.log"):
        yield url
