"""Implicit bias towards low rank: the experiments of Arora, Cohen, Hu & Luo 2019."""

from collections.abc import Iterator

from . import completion, mode_paths, movielens, sensing
from .report import Part, Settings

__all__ = ["PAPER", "parts"]

PAPER = "Arora, Cohen, Hu & Luo 2019 (arXiv:1905.13655), implicit bias towards low rank"


def parts(settings: Settings) -> Iterator[Part]:
    """Yield the experiments of the paper, each when it is done."""
    # First, so that a file which is none of ratings is refused at once.
    if settings.ratings is not None:
        yield movielens.part(settings, settings.ratings)
    yield mode_paths.part(settings, mode_paths.DEFAULT)
    if not settings.full:
        yield completion.part(settings, completion.DEFAULT)
        yield sensing.part(settings, sensing.DEFAULT)
        return
    yield completion.part(settings, completion.FULL)
    yield completion.part(settings, completion.SLOW, "completion_small_rate")
    # Last, as it takes longer than everything else.
    yield sensing.part(settings, sensing.FULL)
