"""Plain text for the terminal: tables, numbers, sizes."""

import os
import sys
from collections.abc import Sequence

__all__ = ["describe", "number", "say", "size", "table"]


def say(text: str = "") -> None:
    """Print at once; if nobody reads any more (a closed pipe), go on without a word."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What is still buffered has to go somewhere, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with right-aligned columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (header, *rows)
    ]
    return "\n".join(lines)


def number(value: float) -> str:
    """Return four significant digits; integers that are small enough in full."""
    if value.is_integer() and abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.4g}"


def size(n_bytes: float) -> str:
    """Return a number of bytes with three significant digits and a unit."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def describe(rows: Sequence[tuple[str, str]]) -> str:
    """Return one line a row: a name, and what is to be said about it."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in rows)
