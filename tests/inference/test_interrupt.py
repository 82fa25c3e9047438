import os
import signal
import threading

import pytest

from bisnn_pyro.inference.process import StopRequest


def test_first_ctrl_c_asks_and_second_interrupts():
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("fails", [False, True])
def test_handler_is_put_back(fails):
    before = signal.getsignal(signal.SIGINT)
    try:
        with StopRequest():
            assert signal.getsignal(signal.SIGINT) != before
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    assert signal.getsignal(signal.SIGINT) == before


def test_outer_request_hears_nothing_of_an_inner_one():
    with StopRequest() as outer:
        with StopRequest() as inner:
            signal.raise_signal(signal.SIGINT)
        assert inner.requested
        assert not outer.requested
        signal.raise_signal(signal.SIGINT)
        assert outer.requested


def test_other_threads_never_stop():
    heard = []

    def work():
        with StopRequest() as stop:
            heard.append(stop.requested)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
    assert signal.getsignal(signal.SIGINT) == before
