"""The peers that use OpenBLAS, made to use AVX-512."""

import os

from .. import machine
from ..cases import DTYPES, WIDTHS, Case
from ..report import paragraphs
from ..timing import Plan
from .networks import compare_cases

NAMES = ("pydlnet", "NumPy, out= buffers", "Numba, np.dot")
NEEDED = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


def measure(plan: Plan) -> str:
    """Compare them at N = 3."""
    if not machine.cpu_flags() >= NEEDED:
        return "Left out: this CPU has no AVX-512."
    widths = WIDTHS[::4] if plan.quick else WIDTHS
    parts = []
    for dtype in DTYPES:
        cases = [Case(width, dtype=dtype) for width in widths]
        comparison = compare_cases(cases, [str(d) for d in widths], "d", NAMES, plan)
        parts.append(f"### {dtype}, N = 3\n\n{comparison.render()}")
    return paragraphs(
        f"`OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']}`: as installed, OpenBLAS picks AVX2 "
        "kernels on some CPUs that have AVX-512. PyTorch, JAX and Eigen bring their own products, "
        "which this does not change.",
        *parts,
    )
