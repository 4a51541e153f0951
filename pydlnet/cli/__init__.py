"""The command line: `pydlnet demo`, `run`, `reproduce`, `show` and `info`."""

from .app import main

__all__ = ["main"]
