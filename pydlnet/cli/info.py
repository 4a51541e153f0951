"""``pydlnet info``: what a report about a problem should contain."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pydlnet as dln
from pydlnet import _core  # no public name says which instruction sets there are

from .text import describe, say

__all__ = ["print_info"]

_NEEDED = (
    "numpy",
    "scipy",
    "xarray",
    "h5netcdf",
    "h5py",
    "matplotlib",
    "pillow",
    "pooch",
    "rich",
    "tqdm",
    "typer",
    "joblib",
    "cloudpickle",
)
_ALGEBRA = "statistics instead of samples, cut widths; run --dry-run and show say what applies"
_OPTIONAL = ("zarr", "distributed", "bokeh", "torch", "jax", "scikit-learn", "pandas")


def print_info() -> int:
    """Print versions, instruction sets, processor and optional packages.

    Returns
    -------
    int
        Exit code 0.
    """
    sets = ", ".join(_core.available())
    forced = os.environ.get("PYDLNET_ISA")
    reason = "forced by PYDLNET_ISA" if forced else "force another one with PYDLNET_ISA"
    rows = [
        ("pydlnet", dln.__version__),
        ("instruction set", f"{_core.ISA} ({reason}); available: {sets}"),
        ("processor", f"{_processor()}, {_cores()} cores usable"),
        ("exact algebra", f"{_ALGEBRA}; off with exact_compression=False"),
        ("python", f"{platform.python_version()} on {platform.platform()}"),
        *[(name, _version(name) or "missing") for name in _NEEDED],
        ("optional", ", ".join(_found()) or "none found"),
    ]
    say(describe(rows))
    return 0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _found() -> list[str]:
    return [f"{name} {found}" for name in _OPTIONAL if (found := _version(name))]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    """Return the model as Linux names it; elsewhere the platform knows it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
