"""A stand-in for Prometheus that has no series: every trigger is Unknown, and nothing fires."""

from __future__ import annotations

import argparse

import uvloop
from aiohttp import web


async def handle(request: web.Request) -> web.Response:
    type_ = "matrix" if request.path.endswith("query_range") else "vector"
    return web.json_response({"status": "success", "data": {"resultType": type_, "result": []}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.install()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    web.run_app(app, host="127.0.0.1", port=parser.parse_args().port, print=None, access_log=None)


if __name__ == "__main__":
    main()
