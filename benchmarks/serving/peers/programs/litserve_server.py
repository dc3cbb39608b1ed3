"""LitServe with an API of ONNX Runtime.

litserve_server.py MODEL PORT MAX_BATCH_SIZE BATCH_SECONDS FAST_QUEUE
"""

from __future__ import annotations

import sys
from typing import Any

import litserve
import numpy as np
from numpy.typing import NDArray
from session import session

Row = dict[str, NDArray[np.generic]]
DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


class Onnx(litserve.LitAPI):  # type: ignore[misc]
    def __init__(self, path: str, **settings: float) -> None:
        super().__init__(**settings)
        self._path = path

    def setup(self, device: str) -> None:
        self._session = session(self._path)
        self._inputs = {one.name: DTYPES[one.type] for one in self._session.get_inputs()}

    # LitServe reads the annotation, and takes plain JSON where there is none, as its documentation has it.
    def decode_request(self, request) -> Row:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return {name: np.asarray(request[name], dtype) for name, dtype in self._inputs.items()}

    def batch(self, inputs: list[Row]) -> Row:
        return {name: np.stack([row[name] for row in inputs]) for name in self._inputs}

    def predict(self, x: Row) -> NDArray[np.generic]:
        if self.max_batch_size > 1:
            return np.asarray(self._session.run(None, x)[0])
        return np.asarray(self._session.run(None, {name: row[np.newaxis] for name, row in x.items()})[0][0])

    def unbatch(self, output: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        return list(output)

    def encode_response(self, output: NDArray[np.generic]) -> dict[str, Any]:
        return {"output": output.tolist()}


if __name__ == "__main__":
    path, port, most, wait, fast = sys.argv[1:]
    api = Onnx(path, max_batch_size=int(most), batch_timeout=float(wait))
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=fast == "True")
    server.run(port=int(port), num_api_servers=1, log_level="warning", access_log=False, generate_client_file=False)
