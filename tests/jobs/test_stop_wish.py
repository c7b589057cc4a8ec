"""The wish to stop: from any signal handler at any moment."""

import subprocess
import sys
import threading

from jobs.stop_wish import StopWish

INTERRUPTED = """
import signal, sys
from jobs.stop_wish import StopWish

def trace(frame, event, _):
    if event == "line" and frame.f_code.co_name == "wait":
        signal.raise_signal(signal.SIGUSR1)
    return trace

wish = StopWish()
signal.signal(signal.SIGUSR1, lambda *_: wish.set())
sys.settrace(trace)
assert wish.wait(30)
sys.settrace(None)
assert wish.wait(0)
"""


def test_a_signal_at_each_line_of_the_wait_is_heard_and_blocks_nothing() -> None:
    subprocess.run([sys.executable, "-c", INTERRUPTED], check=True, timeout=60)


def test_it_is_heard_from_another_thread_and_stays() -> None:
    wish = StopWish()
    assert not wish.wait(0.01)
    threading.Timer(0.05, wish.set).start()
    assert wish.wait(60)
    assert wish.wait(0)
