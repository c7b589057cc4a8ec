"""Logs: plain lines for eyes, or one JSON object per line. Each says which request or job it belongs to.

Nothing of a request's content goes into a log: only ids, names of models, routes as templates, codes and our own
sentences.
"""

import json
import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import PurePath
from types import TracebackType
from typing import Literal

from contract.plain_text import plain

LogFormat = Literal["text", "json"]
REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that this context answers."""
JOB: ContextVar[str] = ContextVar("job", default="")
"""The id of the job that this context works on."""
ACCESS = "voxelsmith.access"
"""The logger of answered requests: a line for each in JSON, none in text."""
MOST_PER_MINUTE = 60
"""Warnings and errors of one place in the code."""
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure(log_format: LogFormat) -> None:
    """Sends everything from INFO up to standard error. Leaves a process alone that has a handler already."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else PlainLines(_TEXT))
    handler.addFilter(Measured())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger(ACCESS).setLevel(logging.INFO if log_format == "json" else logging.WARNING)


class Measured(logging.Filter):
    """Lets so many warnings and errors of one place in the code through per minute, and tells how many it kept back:
    what a client can make happen without end must not fill the disk."""

    def __init__(self, most: int = MOST_PER_MINUTE, period_s: float = 60.0) -> None:
        super().__init__()
        self._most, self._period_s = most, period_s
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        place = (record.pathname, record.lineno)
        since, count = self._seen.get(place, (record.created, 0))
        if abs(record.created - since) >= self._period_s:
            kept_back = count - self._most
            since, count = record.created, 0
            if kept_back > 0:
                record.msg, record.args = f"{record.getMessage()} (and {kept_back} more like it before)", ()
        self._seen[place] = (since, count + 1)
        return count < self._most


def ids_of(record: logging.LogRecord) -> dict[str, str]:
    """`request` and `job`, where there are: the record's own (by `extra`), else its context's."""
    ids = {
        name: str(getattr(record, name, "") or variable.get())
        for name, variable in (("request", REQUEST), ("job", JOB))
    }
    return {name: value for name, value in ids.items() if value}


class PlainLines(logging.Formatter):
    """The standard's lines with the ids at their end; a traceback is whole."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        line = plain(super().formatMessage(record))
        return " ".join([line, *(f"{name}={value}" for name, value in ids_of(record).items())])


class JsonLines(logging.Formatter):
    """One object per record. Of an exception it has the class and where it was raised, not its text, which may hold a
    path or a value, and no path but the last two parts."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **ids_of(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line |= {"error": record.exc_info[0].__name__, "trace": _places(record.exc_info[2])}
        return json.dumps(line)


def _places(trace: TracebackType | None) -> list[str]:
    """Innermost last: `workers/run.py:88 run`."""
    frames = traceback.extract_tb(trace)
    return [f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno} {frame.name}" for frame in frames]
