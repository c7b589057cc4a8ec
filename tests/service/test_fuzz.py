"""Random bodies and fields: refused or read, never anything else."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import InvalidRequest, UploadTooLarge
from contract.requests import EditRequest, EncodeRequest, GenerateRequest
from service.http.header_fields import UnsatisfiableError, names_tag, span_of, wait_of
from service.http.multipart import Form, Memory
from service.http.strict_json import parse, read

NAMES = ["model", "seed", "seeds", "latents", "source", "edit", "op", "target", "job", "index", "output", "x~/y", ""]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["move", "tiny", "z"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=4),
    max_leaves=12,
)
PIECES = [b"--B", b"\r\n", b"\r", b"\n", b"--", b'Content-Disposition: form-data; name="volume"', b'"', b";", b"\xff",
          b"Content-Disposition: form-data; name*=utf-8''%ff; name*0*=x'y'z", b"request", b"\0", b":", b"=", b"x" * 60,
          b"Content-Type: application/json", b"%zz", b"name"]  # fmt: skip
# The same examples in every run: what is wrong with one is told to whoever made it so.
quick = settings(max_examples=400, derandomize=True, deadline=None)


@quick
@given(VALUES, st.sampled_from([GenerateRequest, EncodeRequest, EditRequest]))
def test_any_json_is_a_request_or_is_refused_with_pointers_into_it(document: Any, shape: Any) -> None:
    errors: list[tuple[str, str]] = []
    try:
        parse(shape, json.dumps(document).encode())
    except InvalidRequest as err:
        errors = err.errors or [("", "")]
    assert all(detail for _, detail in errors)
    assert all(pointer == "" or pointer.startswith("/") for pointer, _ in errors)


@quick
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        document = read(body)
    except InvalidRequest:
        return
    assert json.loads(body) == document


@quick
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=5), max_size=30), st.integers(1, 30))
def test_any_form_is_read_or_refused(pieces: list[bytes], step: int) -> None:
    body = b"--B\r\n" + b"".join(pieces)
    try:
        form = Form("multipart/form-data; boundary=B", {"volume": Memory(50), "request": Memory(50)})
        for start in range(0, len(body), step):
            form.feed(body[start : start + step])
        form.close()
    except (InvalidRequest, UploadTooLarge):
        return
    assert form.seen <= {"volume", "request"}


@quick
@given(st.text(alphabet="multipart/form-data;boundary=*'\"\\ %utf8\xff0B", max_size=60))
def test_any_content_type_is_read_or_refused(text: str) -> None:
    try:
        Form(text, {})
    except InvalidRequest:
        return


@quick
@given(st.text(alphabet="bytes=-,0123456789 \t\xb2", max_size=40), st.integers(0, 1000))
def test_any_range_lies_in_the_file_or_counts_as_absent(field: str, size: int) -> None:
    try:
        span = span_of(field, None, '"t"', size)
    except UnsatisfiableError:
        return
    assert span is None or 0 <= span.start < span.end <= size


@quick
@given(st.lists(st.text(alphabet='wait=;,"0123456789 \xb2-.', max_size=30), max_size=3))
def test_any_preference_is_a_number_of_seconds_or_none(fields: list[str]) -> None:
    seconds = wait_of(fields)
    assert seconds is None or 0 <= seconds <= 60


@pytest.mark.parametrize("field", ["", ",", '"', '"a', "W/", 'W/"', "*x", "\xff" * 50])
def test_odd_tags_match_nothing(field: str) -> None:
    assert not names_tag(field, '"t"')
