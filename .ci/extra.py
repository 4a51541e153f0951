"""Print what an extra of the installed package needs, for `pip install -r`."""

import sys
from importlib.metadata import requires


def main(extra: str) -> int:
    """Print the requirements; an exit code other than 0 if there are none."""
    marker = f'extra == "{extra}"'
    found = [line.split(";")[0] for line in requires("pydlnet") or () if marker in line]
    print("\n".join(found))
    return int(not found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
