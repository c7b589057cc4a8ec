"""Methods for a caller who waits, made of the coroutines that an event loop would run.

The object that has them holds the one whose methods are awaited as `_awaited`. What is made has the other's parameters
and docstring, for people as for mypy, so that none is written twice.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
OwnerT = TypeVar("OwnerT")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends, as all over a BlockingConnection: it needs no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine over a blocking connection was suspended")


def each(items: AsyncIterator[T]) -> Generator[T, None, None]:
    """What an asynchronous generator yields, of which the same holds; left early, it is closed."""
    try:
        while True:
            try:
                item = at_once(_next(items))
            except StopAsyncIteration:
                return
            yield item
    finally:
        if isinstance(items, AsyncGenerator):
            at_once(_close(items))


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


async def _close(items: AsyncGenerator[T, Any]) -> None:
    await items.aclose()


def blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """A method that returns what the coroutine does."""

    @wraps(method)
    def run(owner: Any, /, *args: P.args, **options: P.kwargs) -> T:
        return at_once(method(owner._awaited, *args, **options))

    return run


def blocking_self(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, object]],
) -> Callable[Concatenate[OwnerT, P], OwnerT]:
    """As blocking(), of a coroutine that returns the object that it belongs to."""

    @wraps(method)
    def run(owner: Any, /, *args: P.args, **options: P.kwargs) -> Any:
        at_once(method(owner._awaited, *args, **options))
        return owner

    return run


def iterating(method: Callable[Concatenate[Any, P], AsyncIterator[T]]) -> Callable[Concatenate[Any, P], Iterator[T]]:
    """A method that iterates over what an asynchronous generator yields."""

    @wraps(method)
    def run(owner: Any, /, *args: P.args, **options: P.kwargs) -> Iterator[T]:
        return each(method(owner._awaited, *args, **options))

    return run
