"""Is this installation sound: what it consists of, and whether a small training gives the known numbers.

:func:`environment_report` is what ``bisnn doctor`` prints without a run; :func:`self_check` is its last part.
The numbers of the training are stored in ``diagnosis.json``, made by ``python -m bisnn_pyro.diagnosis``.
"""

from __future__ import annotations

import json
import locale
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

STORED = Path(__file__).with_name("diagnosis.json")
PACKAGES = (
    "bisnn_pyro",
    "torch",
    "pyro-ppl",
    "numpy",
    "numba",
    "pandas",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "arviz",
    "xarray",
    "h5netcdf",
    "h5py",
    "safetensors",
    "pydantic",
    "typer",
)
TOLERANCES = {"first loss": 0.005, "last loss": 0.05, "entropy": 0.03, "probability": 0.05, "accuracy": 0.05}
"""Largest difference from a stored number of each kind.

With the same versions and CPU they differ by less than 1e-6.  Elsewhere products are summed in another
order, and rounding at a threshold flips a spike; another learning rate, prior or seed differs by more.
"""
LEAST_FREE = 1 << 30
"""Bytes of free disk below which the report warns."""


@dataclass(frozen=True)
class Report:
    """What :func:`environment_report` found.

    Attributes:
        lines: of text, for a terminal.
        ok: whether the self-check passed and nothing that the package needs is missing.
    """

    lines: tuple[str, ...]
    ok: bool


@dataclass(frozen=True)
class Check:
    """One number of the self-check.

    Attributes:
        name: what it is.
        found: its value here.
        stored: its value where it was stored.
        tolerance: how far the two may be apart.
    """

    name: str
    found: float
    stored: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the number is finite and close to the stored one."""
        return abs(self.found - self.stored) <= self.tolerance

    def __str__(self) -> str:
        """The number, or by how much it differs."""
        if self.ok:
            return f"{self.name} {self.found:.6f}"
        apart = f"differs by {abs(self.found - self.stored):.3g}, more than {self.tolerance:g}"
        return f"{self.name} {self.found:.6f} {apart}, from the stored {self.stored:.6f}"


def environment_report(*, check: bool = True) -> Report:
    """Return the state of this installation: versions, devices, threads, BLAS, disk, encoding, self-check.

    Args:
        check: whether to run :func:`self_check`, which takes some ten seconds.

    Example:
        >>> report = environment_report(check=False)
        >>> report.lines[0].startswith("python 3.")
        True
    """
    lines = [f"python {platform.python_version()} on {platform.platform()}"]
    found = versions()
    lines += [f"{name} {number or 'is missing'}" for name, number in found.items()]
    lines += [*_devices(), *_threads(), *_encoding()]
    missing = [name for name, number in found.items() if number is None]
    low, disk = _disk()
    lines += [disk, *(f"missing: {name}; reinstall bisnn_pyro" for name in missing)]
    if not check:
        return Report(tuple(lines), not missing and not low)
    checks = self_check()
    wrong = [one for one in checks if not one.ok]
    if wrong:
        lines += [f"self-check: {one}" for one in wrong]
        lines.append("self-check failed: this installation does not compute what it should")
    else:
        lines.append(f"self-check: ok ({len(checks)} numbers as stored)")
    return Report(tuple(lines), not missing and not low and not wrong)


def self_check() -> list[Check]:
    """Train a small posterior and a small real-valued network in memory; compare them with stored numbers.

    Nothing is read but the package, nothing is written, and the caller's random state stays as it is.

    Returns:
        One :class:`Check` per stored number.
    """
    stored = json.loads(STORED.read_text(encoding="utf-8"))["numbers"]
    found = dict(_numbers())
    return [
        Check(name, found.get(name, float("nan")), value, TOLERANCES[name.partition(" ")[2]])
        for name, value in stored.items()
    ]


def _numbers() -> Iterator[tuple[str, float]]:
    """Yield numbers by method and kind."""
    import torch

    from bisnn_pyro.data import PopulationEncoder, two_moons
    from bisnn_pyro.inference import (
        AutoFullPrecision,
        AutoRelaxedSign,
        BayesianLearningRule,
        GradientSteps,
        Learner,
        SynapticGuide,
        TrainSettings,
        encode_all,
        posterior_draws,
        predict,
        steady_process,
    )
    from bisnn_pyro.models import BernoulliRate, BinaryPrior, NormalPrior, Prior, SpikingGLM

    task = two_moons(n_train=100, n_val=20, n_test=100)
    encoder = PopulationEncoder(n_neurons=8, n_steps=20)
    kinds: dict[str, tuple[type[SynapticGuide], Prior]] = {
        "bayes": (AutoRelaxedSign, BinaryPrior()),
        "full-precision": (AutoFullPrecision, NormalPrior()),
    }

    def optimisers(_: SpikingGLM, guide: SynapticGuide) -> list[torch.optim.Optimizer]:
        if guide.binary:
            return [BayesianLearningRule(guide.parameters(), lr=10.0, max_step=0.5)]
        return [torch.optim.Adam(guide.parameters(), lr=0.02)]

    with steady_process(1):
        for name, (kind, prior) in kinds.items():
            model = SpikingGLM(
                encoder.n_inputs(2), [32], BernoulliRate(), gain=3.0, readout_gain=3.0, prior=prior
            )
            guide = kind(model)
            settings = TrainSettings(epochs=30, batch_size=20, kl_weight=0.001, other_lr=0.02)
            learner = Learner(model, guide, encoder, GradientSteps(optimisers), settings)
            history = learner.fit(torch.as_tensor(task.train.x), torch.as_tensor(task.train.y)).history
            yield f"{name} first loss", history.rows[0]["loss"]
            yield f"{name} last loss", history.rows[-1]["loss"]
            if guide.binary:
                yield f"{name} entropy", history.rows[-1]["entropy_bits"]
            blocks = encode_all(encoder, torch.as_tensor(task.test.x), 0)
            vote = predict(model, posterior_draws(guide, 0), blocks, n_draws=20, seed=0).mean
            yield f"{name} probability", float(vote[:, 1].mean())
            yield f"{name} accuracy", float((vote.argmax(-1) == task.test.y).mean())


# -- what the installation consists of ----------------------------------------------------------------


def versions() -> dict[str, str | None]:
    """Return the versions of the packages that results depend on; None of a package that is missing."""
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        if package != "bisnn_pyro":
            return None
        import bisnn_pyro

        return f"{bisnn_pyro.__version__} (not installed, from {Path(bisnn_pyro.__file__).parent})"


def _devices() -> Iterator[str]:
    import torch

    yield f"processor: {platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    if not torch.cuda.is_available():
        yield "accelerator: none"
        return
    for index in range(torch.cuda.device_count()):
        yield f"accelerator: {torch.cuda.get_device_name(index)}"


def _threads() -> Iterator[str]:
    import torch

    yield f"threads: torch {torch.get_num_threads()}, between operations {torch.get_num_interop_threads()}"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        if name in os.environ:
            yield f"threads: {name} = {os.environ[name]}"
    settings = dict(part.split("=", 1) for part in torch.__config__.show().split(", ") if "=" in part)
    yield f"BLAS of torch: {settings.get('BLAS_INFO', 'not stated')}"
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return
    for pool in threadpool_info():
        yield f"library: {_described(pool)}"


def _described(pool: Mapping[str, object]) -> str:
    number = f" {pool['version']}" if pool.get("version") else ""
    return f"{pool['internal_api']}{number}, {pool['num_threads']} threads"


def _encoding() -> Iterator[str]:
    yield f"encoding: files {locale.getpreferredencoding(False)}, names {sys.getfilesystemencoding()}"
    yield f"locale: {'.'.join(part or '?' for part in locale.getlocale())}"


def _disk() -> tuple[bool, str]:
    """Return whether the disk of the working directory is nearly full, and a line about it."""
    try:
        path = Path.cwd()
        free = shutil.disk_usage(path).free
    except OSError as error:
        return True, f"disk: the working directory cannot be read ({error})"
    low = free < LEAST_FREE
    warning = ", too little for runs of some size" if low else ""
    return low, f"disk: {free / (1 << 30):.1f} GiB free in {path}{warning}"


def write_stored(path: Path = STORED) -> Path:
    """Write the numbers of this machine as those to compare with; for maintainers."""
    names = ("bisnn_pyro", "torch", "numpy", "numba")
    record = {
        "versions": {name: _version(name) for name in names},
        "numbers": {name: round(value, 8) for name, value in _numbers()},
    }
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write_stored())
