"""The progress bar of a run: in terminals and notebooks, and not in the first second."""

import sys
from typing import Any

from tqdm.auto import tqdm


class Progress:
    """Shows how far a run has come on its way from `first` to `last`.

    Parameters
    ----------
    first, last : int or float
        Absolute steps or times.
    show : bool or None
        None shows it where somebody is watching.
    unit : str
        What they are.
    done : int or float
        How much of the way was gone before, and is no part of the rate.
    """

    def __init__(
        self,
        first: float,
        last: float,
        show: bool | None,
        unit: str = "step",
        done: float = 0,
    ) -> None:
        visible = _is_watched() if show is None else show
        self._first = first
        self._bar: Any = None
        if visible:
            delay = 1.0 if show is None else 0.0
            total = last - first
            scale = unit != "point"  # of which there are few enough to count
            self._bar = tqdm(total=total, initial=done, unit=unit, unit_scale=scale, delay=delay)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, place: float, **counts: int) -> None:
        """Move the bar to an absolute step or time; show the counts that are not zero."""
        if self._bar is not None:
            shown = {name: count for name, count in counts.items() if count}
            if shown:
                self._bar.set_postfix(shown, refresh=False)
            self._bar.update(place - self._first - self._bar.n)


def _is_watched() -> bool:
    """Whether standard error is a terminal, or the output of a notebook."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"
