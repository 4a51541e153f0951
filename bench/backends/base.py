"""What every way of taking the steps has in common."""

from abc import ABC, abstractmethod

from ..cases import Case, Layers


class Backend(ABC):
    """Prepared once for a case, then run as often as wanted, always from the same start."""

    @abstractmethod
    def __init__(self, case: Case) -> None: ...

    @abstractmethod
    def run(self, n_steps: int) -> None:
        """Take this many steps of gradient descent and wait until they are done."""

    @abstractmethod
    def layers(self) -> Layers:
        """Return the layers that the last run ended at."""
