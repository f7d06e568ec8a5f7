"""`ecgstream` with a bug: the analysis raises on any piece of device "asystole" that holds sample 20,000."""

from ecgstream.analysis import Analyzer
from ecgstream.cli import main
from ecgstream.messages import Finding
from ecgstream.pieces import Event, Piece

POISON = 20_000
good = Analyzer.feed


def feed(self: Analyzer, events: list[Event]) -> list[Finding]:
    """As `Analyzer.feed`, but for the bug."""
    for event in events:
        if (
            isinstance(event, Piece)
            and event.device_id == "asystole"
            and 0 <= POISON - event.first_sample < len(event.samples)
        ):
            raise ZeroDivisionError("a bug")
    return good(self, events)


if __name__ == "__main__":
    Analyzer.feed = feed  # type: ignore[assignment,method-assign]
    main()
