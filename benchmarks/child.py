"""One measurement in a process of its own: wall time and peak memory of a step or of a prediction.

``measure`` starts ``python -m benchmarks.child``, which prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.nets import Net, OurStep, WindowedStep, our_committee, our_step
from benchmarks.timing import repeat, threads

STEPS = {"step": OurStep, "windows": WindowedStep}
ROOT = Path(__file__).resolve().parent.parent


def measure(
    task: str,
    net: Net,
    *,
    draws: int = 1,
    points: int = 100,
    n_threads: int = 1,
    seconds: float = 0.0,
    warm: int = 0,
) -> dict[str, float]:
    """Run a task in a fresh process.

    Args:
        task: ``step`` (one training step), ``windows`` (a batch in windows) or ``committee`` (one
            prediction).
        net: sizes.
        draws: members of the committee.
        points: its test points.
        n_threads: threads of torch and of the packed path.
        seconds: how long to repeat the task; 0 runs it once.
        warm: untimed runs before; all kernels are compiled already. Their memory counts.

    Returns:
        ``seconds``, the median; ``peak_mb``, the largest resident memory while it ran; ``base_mb``,
        the resident memory just before.
    """
    job = {
        "task": task,
        "net": asdict(net),
        "draws": draws,
        "points": points,
        "threads": n_threads,
        "seconds": seconds,
        "warm": warm,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", json.dumps(job)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the measurement {job} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def status_mb(key: str) -> float:
    """Return a line of /proc/self/status (``VmRSS``, ``VmHWM``) in MB; the peak alone off Linux."""
    path = Path("/proc/self/status")
    if not path.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
    line = next(line for line in path.read_text().splitlines() if line.startswith(key + ":"))
    return int(line.split()[1]) / 2**10


def forget_peak() -> None:
    """Set the kernel's record of the peak back to what is resident now, where that is allowed."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _timed(work: Any, seconds: float, warm: int) -> dict[str, float]:
    forget_peak()
    base = status_mb("VmRSS")
    times = repeat(work, seconds=seconds, least=1, most=101, warm=warm)
    return {"seconds": statistics.median(times), "base_mb": base, "peak_mb": status_mb("VmHWM")}


def _load(net: Net) -> None:
    """Compile and load what a run needs, on a net too small to leave memory behind."""
    small = replace(net, n_steps=net.burn_in + 1, batch=1, hidden=tuple(1 for _ in net.hidden))
    with our_step(small) as step:
        step()
    with our_committee(small, 1, 1) as committee:
        committee()


def run(job: dict[str, Any]) -> dict[str, float]:
    """Do what ``measure`` asks, in this process."""
    net = Net(**{**job["net"], "hidden": tuple(job["net"]["hidden"])})
    with threads(job["threads"]):
        _load(net)
        if job["task"] in STEPS:
            with our_step(net, kind=STEPS[job["task"]]) as step:
                return _timed(step, job["seconds"], job["warm"])
        with our_committee(net, job["points"], job["draws"]) as committee:
            return _timed(committee, job["seconds"], job["warm"])


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
