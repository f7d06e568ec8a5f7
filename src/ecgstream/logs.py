"""Structured logs on stderr, ours and those of the libraries. Tracebacks come without the values of variables: those may be a patient's."""

import logging
import sys

import structlog
from structlog.processors import ExceptionRenderer, JSONRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

_TRACEBACKS = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
_PLAIN = "%(levelname)s %(name)s %(message)s"


def configure_logs(level: str = "info", *, as_json: bool = False) -> None:
    """Log to stderr: lines for a person, or JSON lines."""
    stamped: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _TRACEBACKS if as_json else structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *stamped,
            JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(_json_lines(stamped) if as_json else logging.Formatter(_PLAIN))
    logging.basicConfig(level=logging.WARNING, handlers=[libraries])


def _json_lines(stamped: list[Processor]) -> ProcessorFormatter:
    """What makes of a library's record a line like ours, with the name of its logger."""
    return ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *stamped],
        processors=[ProcessorFormatter.remove_processors_meta, JSONRenderer()],
    )
