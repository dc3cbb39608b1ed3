"""Where a model's nodes run: ONNX Runtime's execution providers, by what the library and the machine have."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modelcycle_runtime.errors import ModelUnusable

CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"


class Accelerator(StrEnum):
    """What a version is run on."""

    AUTO = "Auto"
    """CUDA where there is a GPU and a library for it, or else the CPU."""
    CPU = "CPU"
    CUDA = "CUDA"
    TENSORRT = "TensorRT"
    """Builds an engine for the GPU at the first load, in minutes, and keeps it; what it can't run, CUDA does."""


@dataclass(frozen=True, slots=True)
class Provider:
    name: str
    options: tuple[tuple[str, str], ...] = ()


def choose(wanted: Accelerator, available: Sequence[str], *, has_gpu: bool, cache: Path) -> tuple[Provider, ...]:
    """The providers in the order in which nodes are offered to them; the CPU takes the rest.

    ``available`` are those that the library was built with, ``has_gpu`` whether this machine can be asked for one,
    ``cache`` the folder for what providers make of a model.

    Raises:
        ModelUnusable: what is wanted is not there; the message says what is missing.
    """
    if wanted is Accelerator.CPU or (wanted is Accelerator.AUTO and not (has_gpu and CUDA in available)):
        return ()
    needed = {Accelerator.TENSORRT: (TENSORRT, CUDA)}.get(wanted, (CUDA,))
    if missing := [name for name in needed if name not in available]:
        raise ModelUnusable(
            f"accelerator {wanted}: this image's ONNX Runtime has no {' and no '.join(missing)}; "
            "use an image with the onnxruntime-gpu wheel"
        )
    if not has_gpu:
        raise ModelUnusable(f"accelerator {wanted}: there is no NVIDIA driver here; ask for nvidia.com/gpu")
    return tuple(Provider(name, options(name, cache)) for name in needed)


def options(name: str, cache: Path) -> tuple[tuple[str, str], ...]:
    """What a provider is told, by ONNX Runtime's names."""
    if name == CUDA:
        # A search for the best algorithm would hold the first request of every shape up. An arena that grows by powers
        # of two takes up to twice of what is needed from others on the GPU.
        return (("arena_extend_strategy", "kSameAsRequested"), ("cudnn_conv_algo_search", "HEURISTIC"))
    folder = str(cache / "tensorrt")
    return (
        ("trt_engine_cache_enable", "1"),
        ("trt_engine_cache_path", folder),
        ("trt_timing_cache_enable", "1"),
        ("trt_timing_cache_path", folder),
    )


def has_gpu() -> bool:
    """Whether this machine has a driver of NVIDIA's and a GPU that it knows."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return bool(driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0)
