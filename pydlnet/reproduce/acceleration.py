"""Depth as acceleration: the experiments of Arora, Cohen & Hazan 2018, arXiv:1802.06509."""

from collections.abc import Iterator

from . import two_points
from .report import Part, Settings

__all__ = ["PAPER", "parts"]

PAPER = "Arora, Cohen & Hazan 2018 (arXiv:1802.06509), acceleration by depth"


def parts(settings: Settings) -> Iterator[Part]:
    """Yield the experiments of the paper, each when it is done."""
    yield two_points.part(settings)
