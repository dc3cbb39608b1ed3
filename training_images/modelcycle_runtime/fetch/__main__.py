"""``python -m modelcycle_runtime.fetch``: the init container that brings a version's files."""

from __future__ import annotations

import os
import sys

from modelcycle_runtime.artifacts import ArtifactStore
from modelcycle_runtime.contract import ENV_FETCH
from modelcycle_runtime.errors import ArtifactRefused, Failure
from modelcycle_runtime.errors.termination import write_failure
from modelcycle_runtime.fetch.files import fetch_all, parse_request
from modelcycle_runtime.fetch.node_cache import NodeCache


def main() -> int:
    try:
        request = parse_request(os.environ.get(ENV_FETCH) or _refuse())
        fetch_all(request, ArtifactStore(request.tracking_uri), NodeCache(request.cache, say), say)
    except Failure as failure:
        write_failure(failure)
        return failure.exit_code
    return 0


def _refuse() -> str:
    raise ArtifactRefused(f"{ENV_FETCH} is not set; docs/reference/pods.md says what goes in")


def say(line: str) -> None:
    sys.stderr.write(f"fetch: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
