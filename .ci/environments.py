#!/usr/bin/env python3
"""The versions that the package is tested with: `python .ci/environments.py pin|lowest|pythons|licences`.

pin       write constraints.txt: what pip resolves for this Python, torch as pinned there
lowest    run the tests with the lowest version that pyproject.toml allows of every package but torch
pythons   run what needs no torch on Python 3.12 and 3.13, the whole suite where torch can be had (--torch)
licences  write docs/reference/dependencies.md: the licence of every package that an installation brings

Each makes its own virtual environments in a temporary folder.  `pin` and `licences` take `--check`: they
write nothing then, and exit with 1 if the file is not what they would write.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
LICENCES = ROOT / "docs" / "reference" / "dependencies.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GROUPS = {"": "dev", "# Of the extra [docs] alone.": "docs", "# Of the extra [bench] alone.": "bench"}
"""The parts of constraints.txt: its comment and the extra that it is resolved with."""
HEADER = """\
# Versions that this release was tested with (Python 3.11, CPU), written by `python .ci/environments.py pin`.
# pyproject.toml states the ranges; torch is pinned here because newer wheels bring CUDA along.
"""
WITHOUT_TORCH = ["tests/analysis"]
"""Tests that run where torch is missing."""


def main() -> int:
    """Run the part that the command line names; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=["pin", "lowest", "pythons", "licences"])
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    parser.add_argument("--torch", action="store_true", help="install torch on other Pythons, too")
    parser.add_argument("--torch-version", help="version that pin takes; as in constraints.txt if not given")
    parser.add_argument("tests", nargs="*", help="tests that lowest and pythons run; all if not given")
    given = parser.parse_args()
    match given.part:
        case "pin":
            return _written(CONSTRAINTS, pinned(given.torch_version or _pinned_torch()), given.check)
        case "licences":
            return _written(LICENCES, licences(), given.check)
        case "lowest":
            return lowest(given.tests)
        case _:
            return pythons(given.tests, with_torch=given.torch)


# -- constraints.txt --------------------------------------------------------------------------------


def pinned(torch: str) -> str:
    """Return the text of constraints.txt."""
    text, seen = HEADER, set()
    for comment, extra in GROUPS.items():
        found = {k: v for k, v in resolved(extra, torch).items() if k not in seen}
        seen |= found.keys()
        lines = sorted(f"{name}=={version}{_marker(name)}" for name, version in found.items())
        text += "\n".join([*([f"\n{comment}"] if comment else []), *lines]) + "\n"
    return text


def resolved(extra: str, torch: str) -> dict[str, str]:
    """Return what pip would install, without installing it: versions by normalised name."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--report", "-", f"{ROOT}[{extra}]", f"torch=={torch}"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    metadata = [item["metadata"] for item in report["install"]]
    versions = {_normal(m["name"]): m["version"].partition("+")[0] for m in metadata}
    # Wheels of torch for accelerators bring their drivers; a CPU build has none of them.
    return {k: v for k, v in versions.items() if k not in ("bisnn-pyro", "triton") and "nvidia" not in k}


def _pinned_torch() -> str:
    found = re.search(r"^torch==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else sys.exit("constraints.txt pins no torch; give --torch-version")


def _marker(name: str) -> str:
    """Return the condition that pyproject.toml sets for this package on this Python."""
    for requirement in PROJECT["dependencies"]:
        before, _, marker = requirement.partition(";")
        if marker and _name(before) == name and "<" in marker:
            return f"; {marker.strip().replace(chr(39), chr(34))}"
    return ""


# -- lowest versions and other Pythons --------------------------------------------------------------


def lowest(tests: list[str]) -> int:
    """Run the tests with the lowest allowed versions of the direct dependencies, torch as it is pinned."""
    with environment(sys.executable) as python:
        requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
        wanted = [low for requirement in requirements if (low := _lowest(requirement))]
        _pip(python, *wanted, f"torch=={_pinned_torch()}", "--no-deps", str(ROOT))
        # What these bring along themselves is as new as they allow.
        _pip(python, *wanted, f"torch=={_pinned_torch()}", f"{ROOT}[test]")
        print("lowest versions:", *wanted, flush=True)
        return _pytest(python, tests)


def _lowest(requirement: str) -> str:
    """Return ``name==lowest`` of a requirement for this Python; nothing of torch."""
    text, _, marker = requirement.partition(";")
    bound = re.search(r">=\s*([\w.]+)", text)
    if _name(text) == "torch" or bound is None or (">=" in marker and sys.version_info < (3, 12)):
        return ""
    return f"{_name(text)}=={bound[1]}"


def pythons(tests: list[str], *, with_torch: bool) -> int:
    """Run the tests on the other Pythons that are found; say which are not."""
    status = 0
    for version in ("3.12", "3.13"):
        interpreter = _interpreter(version)
        if interpreter is None:
            print(f"Python {version}: not found, skipped", flush=True)
            continue
        with environment(interpreter) as python:
            needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
            needs_torch = ("torch", "pyro-ppl", "torchmetrics")
            needed = [r for r in needed if with_torch or _name(r) not in needs_torch]
            _pip(python, *needed)
            print(f"Python {version}, {'with' if with_torch else 'without'} torch", flush=True)
            status |= _pytest(python, tests or ([] if with_torch else WITHOUT_TORCH))
    return status


def _interpreter(version: str) -> str | None:
    """Return an interpreter of this version that starts, on the path or among those of pyenv."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in (shutil.which(f"python{version}"), *map(str, kept)):
        if candidate and subprocess.run([candidate, "-V"], check=False, capture_output=True).returncode == 0:
            return candidate
    return None


# -- licences ---------------------------------------------------------------------------------------

LIST = """
import importlib.metadata, json
def licence(m):
    named = [c.rpartition(" :: ")[2] for c in m.get_all("Classifier") or () if c.startswith("License ::")]
    short = (m.get("License") or "").strip().splitlines()[:1]
    return m.get("License-Expression") or "; ".join(named) or (short[0] if short else "not stated")
packages = [d.metadata for d in importlib.metadata.distributions()]
print(json.dumps({m["Name"]: licence(m) for m in packages}))
"""


def licences() -> str:
    """Return a page with every package of an installation and its licence, as the package states it."""
    with environment(sys.executable) as python:
        _pip(python, "-c", str(CONSTRAINTS), str(ROOT))
        output = subprocess.run([python, "-c", LIST], check=True, capture_output=True, text=True).stdout
    found = {k: v for k, v in json.loads(output).items() if k not in ("bisnn_pyro", "pip", "setuptools")}
    direct = {_name(requirement) for requirement in PROJECT["dependencies"]}
    rows = [
        f"| {name} | {'yes' if _normal(name) in direct else ''} | {licence.replace('|', '/')} |"
        for name, licence in sorted(found.items(), key=lambda item: item[0].lower())
    ]
    return "\n".join(
        [
            "# Dependencies and their licences",
            "",
            "What `pip install bisnn_pyro` brings along (Python 3.11, CPU build of torch), with the licence",
            "that each package states in its metadata. Written by `python .ci/environments.py licences`.",
            "",
            "| package | named in pyproject.toml | licence |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


# -- shared -----------------------------------------------------------------------------------------


@contextmanager
def environment(interpreter: str) -> Iterator[str]:
    """Make a virtual environment; give its interpreter; remove it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
        yield str(Path(folder) / "bin" / "python")


def _pip(python: str, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], check=True)


def _pytest(python: str, tests: list[str]) -> int:
    # The package is imported from the source tree, wherever its dependencies come from.
    command = [python, "-m", "pytest", "-q", *tests]
    return subprocess.run(command, cwd=ROOT, env=_environ(), check=False).returncode


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}


def _written(path: Path, text: str, check: bool) -> int:
    if not check:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path.name} is not what {Path(__file__).name} would write", file=sys.stderr)
    return 1


def _name(requirement: str) -> str:
    return _normal(re.match(r"[\w.-]+", requirement)[0])  # type: ignore[index]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
