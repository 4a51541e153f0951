"""Run the command line with ``python -m pydlnet``."""

import sys

from pydlnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
