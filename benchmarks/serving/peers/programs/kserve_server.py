"""KServe's Python server with a custom model, which takes both of its protocols.

kserve_server.py MODEL NAME PORT
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import kserve
import numpy as np
from kserve.utils.utils import generate_uuid
from session import session

DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


class Onnx(kserve.Model):  # type: ignore[misc]
    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self._session = session(path)
        self._inputs = {one.name: DTYPES[one.type] for one in self._session.get_inputs()}
        self._outputs = [one.name for one in self._session.get_outputs()]
        self.ready = True

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        if isinstance(payload, dict):
            return {"predictions": self._session.run(None, self._rows(payload["instances"]))[0].tolist()}
        answers = self._session.run(self._outputs, {one.name: one.as_numpy() for one in payload.inputs})
        outputs = []
        for name, answer in zip(self._outputs, answers, strict=True):
            outputs.append(kserve.InferOutput(name=name, shape=list(answer.shape), datatype="FP32"))
            outputs[-1].set_data_from_numpy(answer, binary_data=False)
        return kserve.InferResponse(response_id=generate_uuid(), model_name=self.name, infer_outputs=outputs)

    def _rows(self, instances: list[Any]) -> dict[str, Any]:
        if len(self._inputs) == 1:
            return {name: np.asarray(instances, dtype) for name, dtype in self._inputs.items()}
        return {name: np.asarray([row[name] for row in instances], dtype) for name, dtype in self._inputs.items()}


if __name__ == "__main__":
    path, name, port = sys.argv[1:]
    server = kserve.ModelServer(http_port=int(port), enable_grpc=False, workers=1, enable_latency_logging=False)
    logging.getLogger("uvicorn.access").handlers.clear()  # a line for each request is not what is measured
    server.start([Onnx(name, path)])
