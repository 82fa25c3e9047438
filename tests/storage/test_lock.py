"""One writer for a folder."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.storage import lock
from bisnn_pyro.storage.lock import locked

HOLD = """
import sys, time
from bisnn_pyro.storage.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_one_is_refused_and_told_who(tmp_path):
    refused = pytest.raises(RunFolderError, match=f"process {os.getpid()} on")
    with locked(tmp_path / "run"), refused, locked(tmp_path / "run"):
        pytest.fail("both hold it")
    with locked(tmp_path / "run"), locked(tmp_path / "other"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_folders_that_a_lock_made_are_gone_if_they_stay_empty(tmp_path):
    with locked(tmp_path / "a" / "b" / "run"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "a" / "b" / "run"):
        (tmp_path / "a" / "b" / "run").mkdir()
    assert (tmp_path / "a" / "b" / "run").is_dir()


def test_a_killed_process_blocks_nobody(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunFolderError, match=f"process {holder.pid} on"), locked(tmp_path / "run"):
            pytest.fail("both hold it")
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    assert (tmp_path / ".lock-run").is_file()
    with locked(tmp_path / "run"):
        assert json.loads((tmp_path / ".lock-run").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_where_the_file_system_has_no_locks_the_process_decides(tmp_path, monkeypatch):
    import errno
    import fcntl

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    file = tmp_path / ".lock-run"
    here = {"host": lock.platform.node(), "since": "now"}
    for holder in ({**here, "pid": os.getppid()}, {**here, "host": "elsewhere", "pid": 1}):
        file.write_text(json.dumps(holder))
        with pytest.raises(RunFolderError, match="is being written by"), locked(tmp_path / "run"):
            pytest.fail("both hold it")
    for text in (json.dumps({**here, "pid": 2**22 + 1}), "", "[]"):
        file.write_text(text)
        with locked(tmp_path / "run"):
            pass
        assert not file.exists()


def test_waiting_for_it(tmp_path):
    code = HOLD.replace("60", "0.3")
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path / "run"], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    started = time.monotonic()
    with locked(tmp_path / "run", wait=True):
        assert time.monotonic() - started > 0.05
    holder.wait()
    holder.stdout.close()


def _linked(lock_file, precious):
    lock_file.symlink_to(precious)


def _second_name(lock_file, precious):
    lock_file.hardlink_to(precious)


def _folder(lock_file, _):
    lock_file.mkdir()


def _pipe(lock_file, _):
    os.mkfifo(lock_file)


@pytest.mark.parametrize("make", [_linked, _second_name, _folder, _pipe])
def test_a_lock_of_a_stranger_writes_nowhere_else(tmp_path, make):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    make(tmp_path / ".lock-run", precious)
    with pytest.raises(RunFolderError, match=r"cannot make .*run: .*\.lock-run"), locked(tmp_path / "run"):
        pytest.fail("it was held")
    assert precious.read_text() == "mine"
