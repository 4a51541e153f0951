"""The command line: `pydlnet demo`, `run`, `show` and `info`."""

from .app import main

__all__ = ["main"]
