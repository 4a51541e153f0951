"""Measure everything and write the report: `python -m bench`."""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .sections import SECTIONS, Section
from .timing import QUICK, Plan, say

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """Run the sections, each in a process of its own, and return the exit code."""
    options = _parse()
    if options.child:
        return _measure(options)
    chosen = [s for s in SECTIONS if not options.only or s.name in options.only]
    complete = len(chosen) == len(SECTIONS) and not options.quick
    parts, failed = [_preface(options.quick)], []
    for section in chosen:
        began = time.perf_counter()
        say(f"{section.name}:")
        text = _in_child(section, options.quick)
        if text is None:
            failed.append(section.name)
            text = "Failed: see what the run printed."
        say(f"  {time.perf_counter() - began:.0f} s")
        parts.append(f"## {section.title}\n\n{text}")
    report = "\n\n".join(parts) + "\n"
    print(report)
    output = options.output or (RESULTS if complete and not failed else None)
    if output:
        output.write_text(report, encoding="utf-8")
        say(f"wrote {output}")
    if failed:
        say(f"failed: {', '.join(failed)}")
    return int(bool(failed))


def _parse() -> argparse.Namespace:
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, help="may be given repeatedly")
    parser.add_argument("--quick", action="store_true", help="few rounds, small sizes")
    parser.add_argument(
        "--output",
        type=Path,
        help=f"file to write; by default {RESULTS.name} beside this program, and that only when "
        "all sections were measured in full",
    )
    parser.add_argument("--child", choices=names, help=argparse.SUPPRESS)
    return parser.parse_args()


def _preface(quick: bool) -> str:
    from .machine import describe  # loads pydlnet

    return (
        "# How fast pydlnet is beside its peers\n\n"
        f"Written by `python -m bench{' --quick' if quick else ''}`. Medians of interleaved "
        "rounds; every peer first gave the answer of the plain definition. `2x` means that a peer "
        "takes twice as long as pydlnet, `0.5x` that it takes half as long. Only ratios within a "
        "table mean anything: the clock drifts between them.\n\n" + describe()
    )


def _in_child(section: Section, quick: bool) -> str | None:
    """Return the text of a section, or None if it failed."""
    threads = {
        f"{library}_NUM_THREADS": str(section.threads)
        for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")
    }
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "section.md")
        command = [sys.executable, "-m", "bench", "--child", section.name, "--output", str(output)]
        done = subprocess.run(
            command + ["--quick"] * quick,
            env={**os.environ, **threads, **section.environment},
            stdout=sys.stderr,
        )
        return output.read_text(encoding="utf-8") if done.returncode == 0 else None


def _measure(options: argparse.Namespace) -> int:
    section = next(s for s in SECTIONS if s.name == options.child)
    if section.threads == 1 and hasattr(os, "sched_setaffinity"):
        # XLA has no reliable option for the number of threads but counts the cores it may use.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    module = importlib.import_module(f".sections.{section.name}", __package__)
    options.output.write_text(module.measure(QUICK if options.quick else Plan()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
