"""How a step grows with the width and the depth."""

from ..cases import Case
from ..report import paragraphs
from ..timing import Plan
from .networks import compare_cases

NAMES = (
    "pydlnet",
    "NumPy, out= buffers",
    "PyTorch autograd, SGD",
    "JAX scan unrolled by 8",
    "Eigen",
)
# Powers of two, where caches alias, and what lies beside them and between.
WIDTHS = (2, 3, 5, 8, 12, 17, 24, 31, 40, 63, 65, 96, 128, 129, 192, 255, 384, 512)
DEPTHS = (2, 3, 4, 6, 10)


def measure(plan: Plan) -> str:
    """Vary one of them at a time, in float64."""
    widths = WIDTHS[::6] if plan.quick else WIDTHS
    depths = DEPTHS[::2] if plan.quick else DEPTHS
    wide = [Case(width) for width in widths]
    parts = ["### Width, N = 3", _render(wide, [str(d) for d in widths], "d", plan)]
    for width in (10, 100):
        deep = [Case(width, depth=depth) for depth in depths]
        parts += [f"### Depth, d = {width}", _render(deep, [str(n) for n in depths], "N", plan)]
    return paragraphs(
        "Time of one step, float64, one thread, for a few of the peers above.", *parts
    )


def _render(cases: list[Case], labels: list[str], corner: str, plan: Plan) -> str:
    return compare_cases(cases, labels, corner, NAMES, plan).render()
