"""Convergence with a guarantee: Arora, Cohen, Golowich & Hu 2019, arXiv:1810.02281."""

from collections.abc import Iterator

from . import start_scales
from .report import Part, Settings

__all__ = ["PAPER", "parts"]

PAPER = "Arora, Cohen, Golowich & Hu 2019 (arXiv:1810.02281), convergence from balanced starts"


def parts(settings: Settings) -> Iterator[Part]:
    """Yield the experiments of the paper, each when it is done."""
    yield start_scales.part(settings)
