"""What foreign text costs: twice the length takes about twice the time, in every expression and every reader."""

import importlib
import io
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import contract
import jobs
import model_store
import service
import volumes
from contract.errors import InvalidRequest
from service.endpoints.page import choose
from service.http.header_fields import accepts_tag, names_tag, priority_of, span_of, wait_of
from service.http.strict_json import read
from volumes.reader_limits import Limits
from volumes.upload_check import check
from volumes.volume import VolumeError

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
LENGTH = 8_000
SHORT_S = 0.1
"""What takes less at the greater length is told apart from nothing by no clock; the square of it would take seconds."""
STARTS = (
    *("", "a", "a=", "bytes", "bytes=", "bytes=1", "bytes=1-", "W/", '"', 'W/"', "gzip", "gzip;", "gzip;q=", "(", "(1"),
    *(
        "Bearer ",
        "application/json",
        "application/json;",
        "application/json; charset=",
        "vxs_",
        "https://",
        "https://a",
    ),
    *("s3://aaa", "s3://aaa/", "\n", "ElementDataFile", "ElementDataFile =", "NRRD0004\n", "1", "1e", "/jobs/", "1-"),
    *("randomize_noise", "randomize_noise =", "a_SERVICE_PORT", "1x1x", "results/", "results/a", "network-snapshot-"),
)
PUMPS = (
    " ",
    "\t",
    "a",
    "0",
    ".",
    "-",
    "/",
    '"',
    "\\",
    '\\"',
    "(",
    "()",
    ",",
    ";",
    "=",
    " =",
    "\n",
    "\r",
    "\r\n",
    "a ",
    "a.",
)
ENDS = ("\x01", "")
SEARCHED = {"END_OF_HEADER", "_NOISE_DEFAULT", "_OF_KUBERNETES", "_TAG", "_STRING"}
"""Expressions that the code looks for anywhere in a text; the others have to match the whole of it."""


def seconds(step: Callable[[], object]) -> float:
    began = time.thread_time()
    with suppress(InvalidRequest, VolumeError, ValueError):
        step()
    return time.thread_time() - began


def assert_linear(name: str, step: Callable[[int], Callable[[], object]], length: int = LENGTH) -> None:
    """`step(n)` does the work on a text of n characters. Measured again, at their best, before it is believed."""
    if seconds(step(2 * length)) < SHORT_S:
        return
    shorter, longer = (min(seconds(step(n)) for _ in range(3)) for n in (length, 2 * length))
    assert longer < SHORT_S or longer < 3 * shorter, f"{name}: {shorter:.3f} s, and {longer:.3f} s for twice the length"


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every compiled expression of the modules that read what others wrote."""
    for room in (contract, jobs, model_store, service, volumes):
        for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            module = importlib.import_module(found.name)
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    yield f"{found.name}.{name}", value


def test_every_expression_on_foreign_text_takes_time_in_proportion_to_its_length() -> None:
    found = list(patterns())
    assert len(found) > 20
    for name, pattern in found:
        for start in STARTS:
            for pump in PUMPS:
                for end in ENDS:

                    def step(n: int, parts: tuple[str, ...] = (start, pump, end)) -> Callable[[], object]:
                        text: Any = parts[0] + parts[1] * (n // len(parts[1])) + parts[2]
                        if isinstance(pattern.pattern, bytes):  # noqa: B023
                            text = text.encode()
                        is_searched = name.rpartition(".")[2] in SEARCHED  # noqa: B023
                        return lambda: pattern.findall(text) if is_searched else pattern.fullmatch(text)  # noqa: B023

                    assert_linear(f"{name} on {start!r} {pump!r} {end!r}", step)


FIELDS: dict[str, Callable[[str], object]] = {
    "Prefer: wait": lambda text: wait_of([text]),
    "Prefer: priority": lambda text: priority_of([text]),
    "Range": lambda text: span_of(text, None, '"t"', 10),
    "If-Range": lambda text: span_of("bytes=0-1", text, '"t"', 10),
    "If-None-Match": lambda text: names_tag(text, '"t"'),
    "If-Match": lambda text: accepts_tag(text, '"t"'),
    "Accept-Encoding": lambda text: choose(text, {"gzip": b"", "br": b"", "": b""}),
    "a JSON body": lambda text: read(text.encode()),
    "an upload": lambda text: check(io.BytesIO(text.encode()), Limits()),
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_body_and_header_takes_time_in_proportion_to_its_length(name: str) -> None:
    starts = (*STARTS, "wait=1", "ObjectType = Image\nElementDataFile =", "ObjectType = Image\na", "NRRD0004\ntype:")
    for start in starts:
        for pump in (*PUMPS, "[", "{", "[1,", '{"a":', "a,", '"t",', ";a"):
            for end in ENDS:

                def step(n: int, parts: tuple[str, ...] = (start, pump, end)) -> Callable[[], object]:
                    text = parts[0] + parts[1] * (n // len(parts[1])) + parts[2]
                    return lambda: FIELDS[name](text)

                assert_linear(f"{name} on {start!r} {pump!r} {end!r}", step)
