"""Which of the contenders are there, each after it gave the right answer."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from .cases import Layers
from .optional import Unavailable


class Contender(Protocol):
    """Prepared once, then run as often as wanted, always from the same start."""

    def run(self, n_steps: int) -> None:
        """Take these steps."""

    def layers(self) -> Layers:
        """Return what the last run ended at."""


def gather(
    factories: Mapping[str, Callable[[], Contender]], check: Callable[[str, Contender], None]
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return the contenders that are there, and why the others are not.

    `check` raises if one is wrong, which is a mistake here and ends the section.
    """
    there: dict[str, Contender] = {}
    missing: dict[str, str] = {}
    for name, factory in factories.items():
        try:
            there[name] = factory()
        except Unavailable as error:
            missing[name] = str(error)
        else:
            check(name, there[name])
    return there, missing


def check_finite(contenders: Mapping[str, Contender]) -> None:
    """Raise if a run ended outside the numbers whose speed is the usual one."""
    for name, contender in contenders.items():
        if not all(np.isfinite(layer).all() for layer in contender.layers()):
            raise AssertionError(f"{name}: the layers are not finite any more")
