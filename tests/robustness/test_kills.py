"""Runs that are killed: resumed to the same bits, and a finished run is never lost.

Half of the moments are changes of files (a checkpoint, the store, a figure, the manifest, a renaming), which
the process counts, and half are moments in time.  ``--full`` tries 50 of each kind, 10 of them in runs that
draw figures, else 3.
"""

import random
import shutil
import time

import pytest
import xarray as xr

import bisnn_pyro
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import run
from bisnn_pyro.inference import History
from bisnn_pyro.storage.examination import examine
from tests.experiments.tiny import TINY
from tests.robustness.processes import CONTEXT, evaluate, train

pytestmark = pytest.mark.slow
SIGKILL = -9


@pytest.fixture(scope="module", params=["numbers", "figures"])
def config(request, tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "tiny.toml"
    source.write_text(TINY)
    changes = ["train.checkpoint_every=1", "train.threads=1", "analysis.noise=[]"]
    changes.append(f"analysis.figures={str(request.param == 'figures').lower()}")
    return plan(str(source), ["bayes"], overrides=changes)[0]


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """An uninterrupted run."""
    return run(config, tmp_path_factory.mktemp("whole")).path


def measured(target, *arguments, **settings):
    """Return how many changes of files a process makes, and how many seconds it takes."""
    counted = CONTEXT.Value("i", 0)
    started = time.monotonic()
    process = CONTEXT.Process(target=target, args=arguments, kwargs={**settings, "counted": counted})
    process.start()
    process.join()
    assert process.exitcode == 0
    return counted.value, time.monotonic() - started


def killed(target, moment, *arguments, **settings):
    """Start a process that is killed: a whole number is a change of a file, a fraction a time in seconds."""
    at = moment if isinstance(moment, int) else None
    process = CONTEXT.Process(target=target, args=arguments, kwargs={**settings, "at": at})
    process.start()
    process.join(None if at is not None else moment)
    process.kill()
    process.join()
    return process.exitcode == SIGKILL


def number(config, full):
    """Return how many moments to try."""
    if config.analysis.figures:
        return 10 if full else 1
    return 40 if full else 2


def moments(n, changes, seconds, seed):
    rng = random.Random(seed)
    return [rng.randrange(changes) if k % 2 == 0 else rng.uniform(0, seconds) for k in range(n)]


def without_times(path):
    """Return all that a run's files say, durations apart."""
    folder = RunFolder(path)
    metrics = {k: v for k, v in folder.read_metrics().items() if k != "train_seconds"}
    rows = History.read_csv(folder.history_path)
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    files = [file for file in sorted(folder.figures.glob("*.csv")) if file.stem != "training"]
    figures = {file.name: file.read_bytes() for file in files}
    with xr.open_dataset(folder.idata_path, group="predictions", engine="h5netcdf") as store:
        votes = {str(name): values.values.tobytes() for name, values in store.data_vars.items()}
    return folder.posterior_path.read_bytes(), metrics, history, figures, votes


def check_sound(path):
    """Nothing but the run is there, and every file of it is as the manifest says."""
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    found = examine(path)
    assert (found.problems, found.extra) == ((), ())


def test_a_killed_run_is_resumed_to_the_same_bits(config, whole, tmp_path, full):
    expected = without_times(whole)
    changes, seconds = measured(train, config, tmp_path / "measured")
    n_killed = 0
    for k, moment in enumerate(moments(number(config, full), changes, seconds, seed=0)):
        out = tmp_path / str(k)
        n_killed += killed(train, moment, config, out)
        if k % 3 == 2:  # resumed runs are killed, too
            killed(train, moments(1, changes, seconds, seed=k)[0], config, out, resume=True)
        finished = (out / "bayes-seed0" / "metrics.json").is_file()
        if not (finished and RunFolder(out / "bayes-seed0").finished):
            run(config, out, resume=True)
        assert without_times(out / "bayes-seed0") == expected, moment
        with RunFolder(out / "bayes-seed0").held():  # sweeps what a kill after the last change left
            pass
        check_sound(out / "bayes-seed0")
        shutil.rmtree(out)
    assert n_killed > 0


def test_a_run_that_is_run_over_is_there_until_the_new_one_is(config, whole, tmp_path, full):
    other = config.replace("rule.lr", 0.7)
    old, new = without_times(whole), without_times(run(other, tmp_path / "other").path)
    shutil.copytree(whole.parent, tmp_path / "measured")
    changes, seconds = measured(train, other, tmp_path / "measured", overwrite=True)
    for k, moment in enumerate(moments(number(config, full), changes, seconds, seed=1)):
        out = tmp_path / str(k)
        shutil.copytree(whole.parent, out)
        killed(train, moment, other, out, overwrite=True)
        bisnn_pyro.load_run(out / whole.name)
        assert without_times(out / whole.name) in (old, new), moment
        if without_times(out / whole.name) == old:
            begun = RunFolder(out / whole.name).beside.begun
            run(other, out, resume=begun, overwrite=not begun)
        assert without_times(out / whole.name) == new, moment
        with RunFolder(out / whole.name).held():
            pass
        check_sound(out / whole.name)
        shutil.rmtree(out)


def test_a_killed_evaluation_leaves_the_run_as_it_was(config, whole, tmp_path, full):
    expected = without_times(whole)
    shutil.copytree(whole, tmp_path / "measured" / whole.name)
    changes, seconds = measured(evaluate, tmp_path / "measured" / whole.name)
    for k, moment in enumerate(moments(number(config, full), changes, seconds, seed=2)):
        path = shutil.copytree(whole, tmp_path / str(k) / whole.name)
        killed(evaluate, moment, path)
        bisnn_pyro.load_run(path)
        assert without_times(path) == expected, moment
        with RunFolder(path).held():
            pass
        check_sound(path)
        shutil.rmtree(path.parent)
