"""Check the types of the examples and of the README's Python code, as a user's editor does."""

import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]

# What the README's code needs besides its own lines.
PREAMBLE = """
import numpy as np
import pydlnet as dln

target = np.eye(10)
"""


# matplotlib says that the figure of axes may be a part of another one, which cannot be saved.
OPTIONS = ("--strict", "--disable-error-code", "union-attr")


def readme() -> str:
    """Return the README's blocks of code; those that follow the first one in functions.

    There they may use names of the first one, and give them other types.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first, *others = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    functions = [
        f"def block_{i}() -> None:\n{textwrap.indent(block, '    ')}"
        for i, block in enumerate(others, start=2)
    ]
    return "\n".join([PREAMBLE, first, *functions])


def main() -> int:
    """Run mypy and return its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "readme.py")
        code.write_text(readme(), encoding="utf-8")
        files = [str(code), *map(str, sorted((ROOT / "examples").glob("*.py")))]
        return subprocess.call([sys.executable, "-m", "mypy", *OPTIONS, *files], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
