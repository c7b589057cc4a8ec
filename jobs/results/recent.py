"""Recent: what was found out a moment ago is not found out again for everyone who asks."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST = 1024


class Recent:
    """Answers by what they are about. Of those who ask for one answer at once, one finds it out and the others wait."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, tuple[float, bool]] = OrderedDict()
        self._asking: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def ask(self, about: Hashable, within_s: float, find_out: Callable[[], bool]) -> bool:
        """An answer that is at most so old; raises what `find_out` raises, and keeps nothing then."""
        with self._lock:
            turn = self._asking.setdefault(about, threading.Lock())
        with turn:
            with self._lock:
                at, answer = self._answers.get(about, (float("-inf"), False))
            if time.monotonic() - at < within_s:
                return answer
            try:
                answer = find_out()
                self._keep(about, answer)
            finally:
                with self._lock:
                    self._asking.pop(about, None)
        return answer

    def _keep(self, about: Hashable, answer: bool) -> None:
        with self._lock:
            self._answers[about] = (time.monotonic(), answer)
            self._answers.move_to_end(about)
            while len(self._answers) > MOST:
                self._answers.popitem(last=False)
