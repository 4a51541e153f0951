"""What the figures were measured on."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pydlnet as dln
from pydlnet import _core

from . import native
from .optional import Unavailable
from .report import table

PACKAGES = ("numpy", "torch", "jax", "jaxlib", "numba", "scipy", "cmeel-eigen")


def _cpuinfo(key: str) -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return ""


def cpu_flags() -> set[str]:
    """Return the features that Linux reports; nothing elsewhere."""
    return set(_cpuinfo("flags").split())


def describe() -> str:
    """Return a table of the machine and the versions."""
    try:
        compiler = native.compiler_version()
    except Unavailable as error:
        compiler = str(error)
    rows = [
        ("date", time.strftime("%Y-%m-%d")),
        ("CPU", f"{_cpuinfo('model name') or platform.machine()}, {os.cpu_count()} cores"),
        ("load average at the start", ", ".join(f"{load:.2f}" for load in os.getloadavg())),
        ("instruction set of pydlnet's module", _core.ISA),
        ("compiler of Eigen and the peak", compiler),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.release()}"),
        ("pydlnet", dln.__version__),
        *((package, _version(package)) for package in PACKAGES),
    ]
    return table(("", ""), rows)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
