"""One class for each way of taking the steps, one file for each peer."""

import importlib

from ..cases import Case
from ..contenders import Contender
from ..oracle import check_close
from .base import Backend

__all__ = ["NAMES", "Backend", "check_agreement", "prepare"]

_CLASSES = {
    "pydlnet": "pydlnet_run.Pydlnet",
    "NumPy, out= buffers": "numpy_buffers.NumPyBuffers",
    "PyTorch autograd, SGD": "torch_autograd.TorchAutograd",
    "PyTorch by hand": "torch_by_hand.TorchByHand",
    "torch.compile": "torch_compiled.TorchCompiled",
    "JAX scan, value_and_grad": "jax_forms.JaxScan",
    "JAX scan, by hand": "jax_forms.JaxScanByHand",
    "JAX scan unrolled by 8": "jax_forms.JaxScanUnrolled",
    "JAX fori_loop, by hand": "jax_forms.JaxLoop",
    "JAX fori_loop, products as sums": "jax_forms.JaxLoopOfSums",
    "JAX jitted step": "jax_forms.JaxSteps",
    "Numba, np.dot": "numba_dot.NumbaDot",
    "Eigen": "eigen_plain.EigenPlain",
}
NAMES = tuple(_CLASSES)


def prepare(name: str, case: Case) -> Backend:
    """Return a backend ready for a case.

    Raises
    ------
    Unavailable
        If what it needs is not there.
    """
    module, _, kind = _CLASSES[name].partition(".")
    backend: Backend = getattr(importlib.import_module(f".{module}", __name__), kind)(case)
    return backend


def check_agreement(case: Case, name: str, backend: Contender) -> None:
    """Raise unless the backend takes the steps of the definition."""
    n_steps = 10 if case.width <= 256 else 2
    backend.run(n_steps)
    check_close(f"{name}, {case}", backend.layers(), case.expected(n_steps), case.start)
