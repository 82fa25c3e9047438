"""A disk that is full at every write: a message, no half file, and a later resume to the same bits.

The limit is on the size of a file, and moves through the sizes that a run and its summary have: one byte too
few, half, none.  ``--full`` tries all of them, else a handful.
"""

import random
import shutil

import pytest

from bisnn_pyro.storage.manifest import files_below
from tests.experiments.tiny import TINY
from tests.robustness.processes import CONTEXT, command_with_limit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "tiny.toml"
    path.write_text(TINY.replace("epochs = 3", "epochs = 3\ncheckpoint_every = 1\nthreads = 1"))
    return path


def called(limit, *words):
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=command_with_limit, args=(limit, words, theirs))
    process.start()
    theirs.close()
    try:
        status, said = ours.recv()
    except EOFError:
        status, said = None, ""
    process.join()
    ours.close()
    assert process.exitcode == 0, f"the process ended with {process.exitcode} at a limit of {limit} bytes"
    return status, said


def check_message(status, said, limit):
    assert status in (1, 2), (limit, said)
    assert "Traceback" not in said, (limit, said)
    assert "internal error" not in said, (limit, said)
    assert "large" in said.lower() or "space" in said.lower(), (limit, said)


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    status, said = called(-1, "run", source, "-m", "bayes", "--out", out, "-q")
    assert status == 0, said
    return out


def limits(out, full):
    sizes = sorted({file.stat().st_size for file in files_below(out)})
    found = sorted({limit for size in sizes for limit in (size - 1, size // 2)} | {0, 1})
    return found if full else random.Random(0).sample(found, 5)


def test_a_run_on_a_full_disk_is_resumed_to_the_same_bits(source, whole, tmp_path, full):
    expected = (whole / "bayes-seed0" / "posterior.safetensors").read_bytes()
    for limit in limits(whole, full):
        out = tmp_path / str(limit)
        words = ["run", source, "-m", "bayes", "--out", out, "-q"]
        check_message(*called(limit, *words), limit)
        if out.exists():
            assert [*out.glob("**/.*")] == [], limit
        assert called(-1, *words, "--resume")[0] == 0, limit
        assert (out / "bayes-seed0" / "posterior.safetensors").read_bytes() == expected, limit
        assert called(-1, "doctor", out) == (0, ""), limit
        shutil.rmtree(out)


@pytest.mark.parametrize("command", ["evaluate", "overwrite"])
def test_a_finished_run_survives_a_full_disk(source, whole, tmp_path, full, command):
    for limit in limits(whole / "bayes-seed0", full):
        out = shutil.copytree(whole, tmp_path / f"{command}{limit}")
        path = out / "bayes-seed0"
        before = {file: file.read_bytes() for file in files_below(path)}
        words = ["run", source, "-m", "bayes", "--out", out, "-q", "--overwrite"]
        status, said = called(limit, *(["evaluate", path] if command == "evaluate" else words))
        if status != 0:  # an evaluation writes fewer files than a run
            check_message(status, said, limit)
            assert {file: file.read_bytes() for file in files_below(path)} == before, limit
        assert [*path.glob("**/.*")] == [], limit
        assert called(-1, "doctor", path) == (0, ""), limit
        shutil.rmtree(out)
