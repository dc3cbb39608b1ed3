from __future__ import annotations

from pathlib import Path

import pytest

from modelcycle_runtime.errors import ModelUnusable
from modelcycle_runtime.serve.loading import prefers_many
from modelcycle_runtime.serve.providers import CPU, CUDA, TENSORRT, Accelerator, choose

CACHE = Path("/cache")
GPU_WHEEL = (TENSORRT, CUDA, CPU)


@pytest.mark.parametrize(
    ("wanted", "available", "has_gpu", "names"),
    [
        ("Auto", (CPU,), False, []),
        ("Auto", (CPU,), True, []),
        ("Auto", GPU_WHEEL, False, []),
        ("Auto", GPU_WHEEL, True, [CUDA]),
        ("CPU", GPU_WHEEL, True, []),
        ("CUDA", GPU_WHEEL, True, [CUDA]),
        ("TensorRT", GPU_WHEEL, True, [TENSORRT, CUDA]),
    ],
)
def test_where_a_model_runs(wanted: str, available: tuple[str, ...], has_gpu: bool, names: list[str]) -> None:
    chosen = choose(Accelerator(wanted), available, has_gpu=has_gpu, cache=CACHE)
    assert [provider.name for provider in chosen] == names


@pytest.mark.parametrize(
    ("wanted", "available", "has_gpu", "said"),
    [
        ("CUDA", (CPU,), True, "no CUDAExecutionProvider; use an image with the onnxruntime-gpu wheel"),
        ("TensorRT", (CPU, CUDA), True, "no TensorrtExecutionProvider;"),
        ("TensorRT", (CPU,), True, "no TensorrtExecutionProvider and no CUDAExecutionProvider"),
        ("CUDA", GPU_WHEEL, False, "there is no NVIDIA driver here; ask for nvidia.com/gpu"),
    ],
)
def test_what_is_missing_is_said(wanted: str, available: tuple[str, ...], has_gpu: bool, said: str) -> None:
    with pytest.raises(ModelUnusable, match=said):
        choose(Accelerator(wanted), available, has_gpu=has_gpu, cache=CACHE)


def test_what_providers_make_of_a_model_is_kept() -> None:
    tensorrt, cuda = choose(Accelerator.TENSORRT, GPU_WHEEL, has_gpu=True, cache=CACHE)
    assert dict(tensorrt.options) == {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "/cache/tensorrt",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": "/cache/tensorrt",
    }
    assert dict(cuda.options) == {
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    }


@pytest.mark.parametrize(("many", "shared", "found"), [(100, 100, False), (109, 100, False), (111, 100, True)])
def test_runs_at_once_have_to_be_worth_it(many: float, shared: float, found: bool) -> None:
    assert prefers_many(many, shared) is found
