"""Mutants: small changes of the package's own code, each of which some test should notice.

    python -m tests.robustness.mutation --sample 80    # a random sample of all mutants
    python -m tests.robustness.mutation --wiring       # the hand-made faults of tests/robustness/wiring.toml

A mutant swaps an operator or a comparison, changes a number or a boolean, or drops a minus sign, in one of
the modules of ``MODULES``; the tests beside it are run on a copy of the package with this change.  The result
goes to ``tests/robustness/mutants.csv``: what survived is explained there, in the column ``why``.
"""

from __future__ import annotations

import argparse
import ast
import csv
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("mutants.csv")
WIRING = Path(__file__).with_name("wiring.toml")
COLUMNS = ("file", "line", "mutation", "result", "why")
LIMIT = 300
"""Seconds after which a mutant counts as killed: it no longer ends."""
PRELOADED = (
    "torch",
    "pyro",
    "numba",
    "numpy",
    "scipy.stats",
    "pandas",
    "sklearn.metrics",
    "pytest",
    "torchmetrics",
)
"""Imported once, before the process forks for each mutant; none of them imports the package."""

_ESTIMATORS = ("tests/distributions", "tests/contracts/test_estimators.py")
_TRAINING = "tests/inference/learner/test_estimation.py"
_RULES = ("tests/inference/test_rules.py", "tests/inference/test_bimu.py", "tests/inference/test_learned.py")
_KERNELS = tuple(f"tests/models/test_{name}.py" for name in ("kernels", "filter", "scan", "products"))
MODULES: dict[str, Sequence[str]] = {
    "distributions/sign_bernoulli.py": _ESTIMATORS,
    "distributions/hyperbolic.py": _ESTIMATORS,
    "distributions/hard_sign.py": _ESTIMATORS,
    "distributions/local_sign.py": _ESTIMATORS,
    "distributions/normal.py": _ESTIMATORS,
    "distributions/float32.py": _ESTIMATORS,
    "inference/rules.py": _RULES,
    "inference/kl_time.py": (_TRAINING, "tests/inference/test_learned.py"),
    "inference/elbo.py": ("tests/inference/test_elbo.py", _TRAINING),
    "models/kernels/torch_backend.py": _KERNELS,
    "models/kernels/numba_backend.py": _KERNELS,
    **{
        f"analysis/calibration/{name}.py": (f"tests/analysis/calibration/test_{name}.py",)
        for name in ("bins", "brier", "curves", "errors", "temperature")
    },
    "analysis/scores/constant.py": ("tests/analysis/scores/test_constant.py",),
}

_OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*", ast.FloorDiv: "/"}
_COMPARISONS = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    line: int
    old: str
    new: str
    start: int
    end: int
    tests: tuple[str, ...]

    @property
    def what(self) -> str:
        return f"{self.old} -> {self.new}"

    def apply(self, root: Path) -> None:
        path = root / "bisnn_pyro" / self.file
        text = path.read_bytes()
        path.write_bytes(text[: self.start] + self.new.encode() + text[self.end :])


def mutants_of(file: str, tests: Sequence[str]) -> Iterator[Mutant]:
    """Yield every mutant of a file of the package, in the order of the file."""
    source = (ROOT / "bisnn_pyro" / file).read_text(encoding="utf-8")
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node, new in _changes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        old = source.encode()[start:end].decode()
        if "\n" not in old:
            yield Mutant(file, node.lineno, old, new, start, end, tuple(tests))


def _changes(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg | ast.FunctionDef):
            _forget_annotations(node)
        if isinstance(node, ast.Raise):
            node.exc = None  # its message is for a reader
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS and not _is_text(node):
            yield node, f"{_text(node.left)} {_OPERATORS[type(node.op)]} {_text(node.right)}"
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield node, f"{_text(node.left)} {_COMPARISONS[type(node.ops[0])]} {_text(node.comparators[0])}"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            yield node, _text(node.operand)
        elif isinstance(node, ast.BoolOp):
            word = " or " if isinstance(node.op, ast.And) else " and "
            yield node, word.join(map(_text, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, str(not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield node, repr(node.value + 1)


def _forget_annotations(node: ast.AST) -> None:
    for name in ("annotation", "returns"):
        if getattr(node, name, None) is not None:
            setattr(node, name, ast.Name("None"))


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(side, ast.JoinedStr) for side in (node.left, node.right))


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"


def wiring() -> list[Mutant]:
    """Return the hand-made faults, each a piece of text that occurs once in its file."""
    found = []
    for fault in tomllib.loads(WIRING.read_text(encoding="utf-8"))["fault"]:
        text = (ROOT / "bisnn_pyro" / fault["file"]).read_bytes()
        old = fault["old"].encode()
        if text.count(old) != 1:
            raise SystemExit(f"{fault['file']} holds {fault['old']!r} {text.count(old)} times, not once")
        start = text.index(old)
        line = text[:start].count(b"\n") + 1
        found.append(
            Mutant(
                fault["file"],
                line,
                fault["old"],
                fault["new"],
                start,
                start + len(old),
                tuple(fault["tests"]),
            )
        )
    return found


def copy_into(folder: Path) -> Path:
    """Copy package and tests, with what Python and numba have compiled, and return the copy."""
    for name in ("bisnn_pyro", "tests"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def survives(mutant: Mutant, copy: Path, log: Path | None = None) -> bool:
    """Return whether the tests pass on a copy of the package with this change, which is undone after."""
    path = copy / "bisnn_pyro" / mutant.file
    before = path.read_bytes()
    mutant.apply(copy)
    try:
        return _passes(copy, mutant.tests, log)
    finally:
        path.write_bytes(before)
        stale = path.parent.glob(f"__pycache__/{path.stem}.*")
        for compiled in stale:  # of the mutant, should it have been written within the same second
            compiled.unlink(missing_ok=True)


def _passes(folder: Path, tests: Sequence[str], log: Path | None) -> bool:
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _run_tests(folder, tests, log)
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_tests(folder: Path, tests: Sequence[str], log: Path | None) -> None:
    """Run the tests in the child process, which ends here."""
    code = 1
    try:
        os.chdir(folder)
        os.environ["PYTHONPATH"] = str(folder)
        sys.path[:] = [str(folder), *(path for path in sys.path if path not in ("", str(ROOT)))]
        for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "bisnn_pyro")]:
            del sys.modules[name]
        with open(log or os.devnull, "a", encoding="utf-8") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        import pytest

        options = ["-x", "-q", "-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider"]
        code = int(pytest.main([*options, "-m", "not slow", f"--rootdir={folder}", *tests]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=80, help="mutants, drawn from all modules")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--wiring", action="store_true", help="the hand-made faults instead")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no mutant after this time")
    parser.add_argument("--only", default="", help="files that hold this text")
    parser.add_argument("--out", type=Path, default=None, help="the table")
    options = parser.parse_args()
    if options.wiring:
        chosen = [m for m in wiring() if options.only in m.file]
    else:
        every = [
            m for file, tests in MODULES.items() for m in mutants_of(file, tests) if options.only in file
        ]
        chosen = random.Random(options.seed).sample(every, min(options.sample, len(every)))
        print(f"{len(chosen)} of {len(every)} mutants", flush=True)
    for name in PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        rows = _try(chosen, copy_into(Path(folder)), options.minutes)
    if options.out is not None:
        with options.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(rows, key=lambda row: (row["file"], row["line"], row["mutation"])))
    left = sum(row["result"] == "survived" for row in rows)
    print(f"{left} of {len(rows)} survived")
    return int(options.wiring and left > 0)


def _try(chosen: Sequence[Mutant], copy: Path, minutes: float) -> list[dict[str, object]]:
    """Return one row for each mutant that was tried in this time."""
    rows: list[dict[str, object]] = []
    end = time.monotonic() + 60 * minutes
    for mutant in chosen:
        started = time.monotonic()
        if started > end:
            print("the time is over", flush=True)
            break
        result = "survived" if survives(mutant, copy) else "killed"
        rows.append({"file": mutant.file, "line": mutant.line, "mutation": mutant.what, "result": result})
        seconds = time.monotonic() - started
        print(f"{result:8} {seconds:5.0f} s  {mutant.file}:{mutant.line}  {mutant.what}", flush=True)
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
