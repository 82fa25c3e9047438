"""``python -m benchmarks``: measure, print and save the table (see NOTES.md)."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from benchmarks import committees, memories, report, steps
from benchmarks.measurement import Benchmark, Measurement, Settings
from benchmarks.timing import threads

QUICK = Settings(seconds=4.0, memory_pairs=2)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios of ours to theirs.")
    parser.add_argument("--quick", action="store_true", help="under four minutes; no scaling")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    parser.add_argument(
        "--only", metavar="PATTERN", help="rows whose name holds this text, or matches with *"
    )
    parser.add_argument("--list", action="store_true", help="print the rows' names and stop")
    return parser.parse_args(arguments)


def matches(name: str, pattern: str | None) -> bool:
    """Return whether a row's name holds the text, or fits the pattern if that has wildcards."""
    if pattern is None:
        return True
    return fnmatch(name, pattern) if any(c in pattern for c in "*?[") else pattern in name


def chosen(pattern: str | None, quick: bool) -> list[Benchmark]:
    """Return the benchmarks to run; a name that is asked for by ``--only`` need not be quick."""
    rows = [*steps.benchmarks(), *committees.benchmarks(), *memories.benchmarks()]
    named = [row for row in rows if matches(row.name, pattern)]
    return [row for row in named if row.quick or not quick or row.name == pattern]


def measure(rows: Sequence[Benchmark], settings: Settings) -> list[Measurement]:
    """Measure the rows on one thread and print each; say which are skipped for want of a library."""
    print(report.HEADING)
    results = []
    with threads(1):
        for benchmark in rows:
            if benchmark.needs and importlib.util.find_spec(benchmark.needs) is None:
                print(
                    f"{benchmark.name:40s} skipped: {benchmark.needs} is missing; pip install -e '.[bench]'"
                )
                continue
            results.append(benchmark.run(benchmark.name, settings))
            print(report.line(results[-1]), flush=True)
    return results


def main(arguments: Sequence[str] | None = None, settings: Settings | None = None) -> int:
    """Run the command; return its exit status."""
    options = parse(arguments)
    rows = chosen(options.only, options.quick)
    scale = not options.quick and matches("scaling", options.only)
    if options.list:
        print("\n".join([*(row.name for row in rows), *(["scaling"] if scale else [])]))
        return 0
    if not rows and not scale:
        print(f"no row matches {options.only!r}; --list names them", file=sys.stderr)
        return 2
    started = time.perf_counter()
    settings = settings or (QUICK if options.quick else Settings())
    if rows:
        results = measure(rows, settings)
        report.save(results, options.out, {"quick": options.quick, "only": options.only})
    if scale:
        from benchmarks import scaling

        print("scaling (a process for each point)")
        scaling.save(scaling.measure_all(), options.out)
    print(f"{time.perf_counter() - started:.0f} s; written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
