"""The progress bar of a run: in terminals and notebooks, and not in the first second."""

import sys
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm


class Progress:
    """Shows how many of the steps from `first` to `last` are taken.

    Parameters
    ----------
    first, last : int
        Absolute steps.
    show : bool or None
        None shows it where somebody is watching.
    """

    def __init__(self, first: int, last: int, show: bool | None) -> None:
        visible = _is_watched() if show is None else show
        self._first = first
        self._bar: Any = None
        if visible:
            delay = 1.0 if show is None else 0.0
            self._bar = tqdm(total=last - first, unit="step", unit_scale=True, delay=delay)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, step: int) -> None:
        """Move the bar to an absolute step."""
        if self._bar is not None:
            self._bar.update(step - self._first - self._bar.n)


def _is_watched() -> bool:
    """Whether standard error is a terminal, or the output of a notebook."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"
