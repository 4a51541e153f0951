"""One network, every peer, every size."""

from collections.abc import Sequence
from functools import partial

from ..backends import NAMES, check_agreement, prepare
from ..cases import CASES, DTYPES, Case
from ..contenders import check_finite, gather
from ..optional import Unavailable
from ..peak import Peak
from ..report import OWN, Comparison, paragraphs
from ..timing import Plan, Run, compare, say

PEAK = "peak"
QUICK_WIDTHS = (4, 20, 100)


def measure(plan: Plan) -> str:
    """Compare all peers at N = 3."""
    parts = []
    for dtype in DTYPES:
        cases = [case for case in CASES if case.dtype == dtype]
        if plan.quick:
            cases = [case for case in cases if case.width in QUICK_WIDTHS]
        comparison = compare_cases(cases, [str(case.width) for case in cases], "d", NAMES, plan)
        parts.append(f"### {dtype}, N = 3\n\n{comparison.render()}")
    return paragraphs(
        "Time of one step of gradient descent on ½‖W - Φ‖² over square layers, one thread; in "
        "brackets over pydlnet's. A step is 6(N - 1)d³ operations, and the peak is what registers "
        "alone reach, measured in the same rounds.",
        *parts,
    )


def compare_cases(
    cases: Sequence[Case], labels: Sequence[str], corner: str, names: Sequence[str], plan: Plan
) -> Comparison:
    """Compare these backends on these cases, and with the machine's peak."""
    comparison = Comparison(corner)
    for i, (case, label) in enumerate(zip(cases, labels, strict=True)):
        say(f"  {case} ({i + 1} of {len(cases)})")
        factories = {name: partial(prepare, name, case) for name in names}
        backends, missing = gather(factories, partial(check_agreement, case))
        runs: dict[str, Run] = {name: backend.run for name, backend in backends.items()}
        peak = _peak(case.dtype, runs)
        times, setting_up = compare(runs, plan)
        check_finite(backends)
        rate = peak.flops / times.pop(PEAK).median if peak else None
        share = case.flops / times[OWN].median / rate if rate else None
        comparison.add(label, times, missing, setting_up[OWN], share)
    return comparison


def _peak(dtype: str, runs: dict[str, Run]) -> Peak | None:
    try:
        peak = Peak(dtype)
    except Unavailable:
        return None  # no compiler, as the line about Eigen says
    runs[PEAK] = peak.run
    return peak
