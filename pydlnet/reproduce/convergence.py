"""Convergence with a guarantee: Arora, Cohen, Golowich & Hu 2019, arXiv:1810.02281."""

from collections.abc import Iterator

from . import balance, guarantee, identity_starts, start_chances, start_scales, unbalanced
from .report import Part, Settings

__all__ = ["PAPER", "parts"]

PAPER = "Arora, Cohen, Golowich & Hu 2019 (arXiv:1810.02281), convergence from balanced starts"


def parts(settings: Settings) -> Iterator[Part]:
    """Yield the experiments of the paper, each when it is done."""
    yield start_scales.part(settings)
    yield balance.part(settings)
    yield guarantee.part(settings)
    yield start_chances.part(settings)
    yield unbalanced.part(settings)
    yield identity_starts.part(settings)
