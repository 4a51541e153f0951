"""C++ compiled on demand with the system's compiler, as pydlnet's own modules are."""

import ctypes
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from pydlnet import _core

from .optional import Unavailable

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "bench"


@cache
def compiler() -> list[str]:
    """Return the command of the C++ compiler."""
    named = shlex.split(os.environ.get("CXX", ""))
    for command in [named] if named else [["c++"], ["g++"], ["clang++"]]:
        if shutil.which(command[0]):
            return command
    raise Unavailable(f"no C++ compiler ({shlex.join(named) or 'c++, g++ or clang++'})")


@cache
def compiler_version() -> str:
    """Return the first line that the compiler says about itself."""
    said = subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


def flags() -> list[str]:
    """Return the options that pydlnet's loaded module was compiled with (CMakeLists.txt)."""
    common = ["-std=c++20", "-O3", "-DNDEBUG", "-shared", "-fPIC"]
    if _core.ISA == "generic":
        return common
    return [*common, f"-march=x86-64-{_core.ISA}", "-mtune=generic"]


def eigen_folder() -> Path:
    """Return where Eigen's headers are: those of cmeel-eigen, else the system's."""
    cmeel = importlib.util.find_spec("cmeel")
    prefixes = [Path("/usr/local"), Path("/usr")]
    if cmeel is not None and cmeel.origin is not None:
        prefixes.insert(0, Path(cmeel.origin).parents[1] / "cmeel.prefix")
    for prefix in prefixes:
        if (prefix / "include/eigen3/Eigen/Core").exists():
            return prefix / "include/eigen3"
    raise Unavailable("no Eigen headers: cmeel-eigen is not installed")


@cache
def library(source: str, *options: str) -> ctypes.CDLL:
    """Compile a file of this folder, if it has not been yet, and load it."""
    path = HERE / source
    command = [*compiler(), *flags(), *options]
    identity = [compiler_version(), *command, path.read_text()]
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]
    built = BUILD / f"{path.stem}-{digest}.so"
    if not built.exists():
        _compile(command, path, built)
    return ctypes.CDLL(str(built))


def _compile(command: list[str], source: Path, built: Path) -> None:
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        # Renamed when it is complete: several processes may be at it.
        output = Path(folder, built.name)
        done = subprocess.run(
            [*command, str(source), "-o", str(output)], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)} {source} failed:\n{done.stderr}")
        os.replace(output, built)
