"""The command line: `pydlnet run`, `sweep`, `reproduce`, `report`, `watch`, `show`, ..."""

from .app import main

__all__ = ["main"]
