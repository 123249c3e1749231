"""Structured logs, without secrets: one line an event, as text for people or JSON for machines."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

# API keys, bearer tokens, passwords in URLs, and the one-time tokens of links.
_SECRETS = re.compile(
    r"hitl_[A-Za-z0-9_-]{20,}|(?i:bearer)\s+\S+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?<=/reset/)[A-Za-z0-9_-]{20,}"
    r"|(?<=/invitation/)[A-Za-z0-9_-]{20,}|(?<=invitation%2F)[A-Za-z0-9_-]{20,}"
)
_SECRET_NAMES = ("password", "token", "secret", "authorization", "cookie")


def configure_logs(style: Literal["text", "json"]) -> None:
    """Send structured events and the standard library's log records to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    render: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        # Plain tracebacks: the pretty ones print local variables, which hold what people wrote.
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Asked at each event: a program that runs commands inside itself may have put another stream in place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = _StandardError()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=render, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment, like the structured events."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _stream: TextIO) -> None:
        """Standard error is asked for each time."""


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what must not be read in a log, by its name or by its look."""
    for name, value in event.items():
        if any(word in name.lower() for word in _SECRET_NAMES):
            event[name] = "[hidden]"
        elif isinstance(value, str):
            event[name] = _SECRETS.sub("[hidden]", value)
    return event
