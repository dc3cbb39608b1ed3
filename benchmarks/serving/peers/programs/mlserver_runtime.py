"""MLServer's custom runtime, as its documentation writes one."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from session import session


class Onnx(MLModel):  # type: ignore[misc]
    async def load(self) -> bool:
        self._session = session(self._settings.parameters.uri)
        self._outputs = [one.name for one in self._session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = {one.name: NumpyCodec.decode_input(one) for one in payload.inputs}
        answers = self._session.run(self._outputs, rows)
        outputs = [NumpyCodec.encode_output(*pair) for pair in zip(self._outputs, answers, strict=True)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
