"""Depth as acceleration: the experiments of Arora, Cohen & Hazan 2018, arXiv:1802.06509."""

from collections.abc import Iterator
from dataclasses import dataclass

from . import deep_starts, gas_depth, gas_settings, rule_curves, two_points
from .depth_gain import Size
from .report import Part, Settings
from .sensors import measurements

__all__ = ["PAPER", "parts"]

PAPER = "Arora, Cohen & Hazan 2018 (arXiv:1802.06509), acceleration by depth"


@dataclass(frozen=True)
class _Sizes:
    """How large each experiment is."""

    points: two_points.Grid
    rule: Size
    depth: Size
    adaptive: Size
    deep: Size
    settings: Size


_DEFAULT = _Sizes(
    points=two_points.DEFAULT,
    rule=Size(n_steps=500, n_starts=3),
    depth=Size(n_steps=2_000, n_starts=3),
    adaptive=Size(n_steps=2_000, n_starts=3),
    deep=Size(n_steps=1_000, n_starts=2),
    settings=Size(n_steps=1_000, n_starts=2),
)
_FULL = _Sizes(
    points=two_points.FULL,
    rule=Size(n_steps=2_000, n_starts=5),
    depth=Size(n_steps=5_000, n_starts=5),
    adaptive=Size(n_steps=4_000, n_starts=3),
    deep=Size(n_steps=2_000, n_starts=3),
    settings=Size(n_steps=2_000, n_starts=3),
)


def parts(settings: Settings) -> Iterator[Part]:
    """Yield the experiments of the paper, each when it is done."""
    sizes = _FULL if settings.full else _DEFAULT
    data = measurements(settings)
    settings.say(f"regression data: {data.used}")
    yield two_points.part(settings, sizes.points)
    yield rule_curves.part(data, settings, sizes.rule)
    yield gas_depth.depth_part(data, settings, sizes.depth)
    yield gas_depth.adaptive_part(data, settings, sizes.adaptive)
    yield deep_starts.part(data, settings, sizes.deep)
    yield gas_settings.part(data, settings, sizes.settings)
