"""Logs: structured events on the standard library's logging, so that the program decides where they go."""

from __future__ import annotations

import logging
from typing import Any

import structlog


def logger(name: str) -> Any:
    """Return a structured logger; it writes nothing by itself and never a handler's variables."""
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
