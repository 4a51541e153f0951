"""Peers that may be missing: said, not passed over."""

import importlib
from types import ModuleType


class Unavailable(Exception):
    """Says why something cannot be timed here."""


def optional(package: str) -> ModuleType:
    """Import a package that need not be installed."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise  # installed and broken
        raise Unavailable(f"{package} is not installed") from None
