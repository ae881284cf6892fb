"""PyTorch on the CPU: `torch.nn.functional.dropout`, and backward through autograd."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

from timing import Array

from competitors.interface import Competitor, Steps, UnavailableError, inverted_scale


def _available() -> Mapping[str, str]:
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise UnavailableError(f"{error}; install the extra: pip install '.[torch]'") from None
    return {
        "version": torch.__version__,
        "MKL": "yes" if torch.backends.mkl.is_available() else "no",
        "oneDNN": "yes" if torch.backends.mkldnn.is_available() else "no",
        "OpenMP": "yes" if torch.backends.openmp.is_available() else "no",
        "CPU capability": torch.backends.cpu.get_cpu_capability(),
        "BLAS": _blas(torch.__config__.show()),
    }


def _blas(config: str) -> str:
    """Return the name of the BLAS library in the build settings."""
    found = re.search(r"BLAS_INFO=(\w+)", config)
    return found[1] if found else "unknown"


def _make(x: Array, out: Array, p: float, threads: int) -> Steps:
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    dropout = torch.nn.functional.dropout
    dy = torch.from_numpy(x)
    leaf = dy.detach().requires_grad_()
    y: Any = None

    def forward() -> Any:
        nonlocal y
        y = dropout(leaf, p, training=True)
        return y.detach()

    def backward() -> Any:
        return torch.autograd.grad(y, leaf, dy, retain_graph=True)[0]

    return Steps(forward, backward, inverted_scale(p))


COMPETITOR = Competitor(
    "torch",
    "PyTorch",
    "`torch.nn.functional.dropout` on a CPU tensor that shares the array's memory; `torch.autograd.grad`.",
    _available,
    _make,
)
