"""How far an evaluation is: whoever is told of each recording as it ends may be told before of how many there are."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Counting(Protocol):
    """Something that is told of each recording and wants to know how many there are."""

    def __call__(self, recording: Any, /) -> None:
        """One more is done."""

    def expect(self, n: int) -> None:
        """There are `n` more to come."""


def expect(done: object, n: int) -> None:
    """Tell `done` that `n` more recordings are to come, if it wants to know."""
    if isinstance(done, Counting):
        done.expect(n)
