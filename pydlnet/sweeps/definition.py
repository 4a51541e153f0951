"""What is swept, as the folder says it: function, version, seed and grid."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._version import VERSION
from ..storage.files import DRAFT, SWEEP, draft_name, write_complete
from .folder import Folder
from .grid import LAYOUT, Grid, grid_from_dict
from .sealed import Damaged, seal, unseal

__all__ = ["Definition", "read_definition", "settle"]


@dataclass(frozen=True)
class Definition:
    """What a sweep computes.

    Attributes
    ----------
    function : str
        Name of the function.
    version : str
        Of it, as the caller counts.
    seed : int
        What all generators are derived from.
    grid : Grid
        The points.
    """

    function: str
    version: str
    seed: int
    grid: Grid

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the values of the parameters, ready for JSON."""
        return {
            "pydlnet_sweep": LAYOUT,
            "pydlnet": VERSION,
            "function": self.function,
            "version": self.version,
            "seed": str(self.seed),
            "grid": self.grid.to_dict(),
            "launched": time.time(),
        }


def read_definition(folder: Folder, name: str) -> Definition | None:
    """Return what the folder says is swept, or None if it says nothing.

    Raises
    ------
    ValueError
        If it is damaged or of another layout.
    """
    try:
        found = unseal(folder.definition.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Damaged as error:
        raise ValueError(
            f"{name}: {folder.definition} is damaged, or of something else: {error}; if it is a "
            "sweep's, remove it and launch the sweep again with the same rng"
        ) from None
    layout = found.get("pydlnet_sweep")
    if layout != LAYOUT:
        raise ValueError(
            f"{name}: expected a sweep of layout {LAYOUT} in {folder.path}, got layout {layout}, "
            f"written by pydlnet {found.get('pydlnet')}"
        )
    grid = grid_from_dict(found["grid"])
    return Definition(found["function"], found["version"], int(found["seed"]), grid)


def settle(folder: Folder, definition: Definition) -> Definition:
    """Write what is swept, and return it with the seed that the folder now has.

    Of several launches that find no definition one is first, and the others take its seed.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    data = seal(definition.to_dict())
    if folder.definition.exists():
        write_complete(folder.definition, data)
        return definition
    draft = folder.path / draft_name()
    write_complete(draft, data)
    try:
        os.link(draft, folder.definition)
    except FileExistsError:
        first = read_definition(folder, "store")
        assert first is not None
        return Definition(definition.function, definition.version, first.seed, definition.grid)
    except OSError:  # a file system without links
        os.replace(draft, folder.definition)
    finally:
        draft.unlink(missing_ok=True)
    return definition


def check_folder(path: Path) -> None:
    """Raise unless a sweep may be written to this path: nothing, an empty folder, or a sweep."""
    if not path.exists():
        return
    expected = f"store: expected the folder of a sweep or nothing at {path}"
    if not path.is_dir():
        raise ValueError(f"{expected}, got a file")
    names = {entry for entry in os.listdir(path) if not entry.startswith(DRAFT)}
    if SWEEP not in names and not names <= {"points", "index"}:
        raise ValueError(f"{expected}, got a folder with other things in it")
