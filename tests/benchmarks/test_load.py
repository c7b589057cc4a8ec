"""The load's clients against a real service, few and short: what they count, and the table. Nothing is timed."""

import asyncio
import os
from pathlib import Path

from benchmarks.load import growth, sizes_of, summary, table
from benchmarks.load_client import drive
from voxelsmith.local import Stack

DOCS = Path(__file__).parents[2] / "docs"


def test_clients_post_follow_fetch_and_remove_without_an_error(stack: Stack) -> None:
    told = asyncio.run(drive(stack.url, "tiny", clients=3, seconds=None, jobs=4))
    assert told.errors == {}
    assert told.jobs == 4
    assert told.downloaded_bytes > 0
    assert {"submit", "poll", "first event", "download", "remove", "job"} == told.seconds.keys()


def test_an_error_is_counted_by_what_it_was(stack: Stack) -> None:
    told = asyncio.run(drive(stack.url, "no-such-model", clients=1, seconds=None, jobs=2))
    assert told.errors == {"status 404": 2}
    told = asyncio.run(drive("http://127.0.0.1:9", "tiny", clients=1, seconds=None, jobs=1))
    assert told.errors == {"ConnectError": 1}


def test_the_table_has_both_phases_with_their_percentiles_and_growth(stack: Stack) -> None:
    told = asyncio.run(drive(stack.url, "tiny", clients=2, seconds=None, jobs=4))
    sizes = [{"api": (100_000_000 + k, 50), "worker": (500_000_000, 11)} for k in range(20)]
    phase = {"clients": 2, "seconds": 3.0, **summary(told, 3.0), "held": growth(sizes)}
    text = table({"date": "2026-01-30", "cores": 2, "load_average": 0.5, "load": phase, "soak": phase})
    assert text.count("| submit | 4 |") == 2
    assert "| api | 100 | 100 | 50 | 50 |" in text
    assert "0 errors" in text
    markers = (DOCS / "reliability.md").read_text()
    assert markers.count("<!-- load:begin -->") == markers.count("<!-- load:end -->") == 1


def test_sizes_are_told_by_kind() -> None:
    """This very process stands for the service's; what is below it depends on which fixtures are up."""
    assert sizes_of(os.getpid())["api"][1] > 2
