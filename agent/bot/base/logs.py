"""Logging to stderr: one line an event, with its time and level, and never a secret."""

from __future__ import annotations

import logging
import sys
import time
from typing import List

from .text import one_line

_LONGEST = 2000


class _OneLine(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.secrets: List[str] = []

    def formatTime(self, record: logging.LogRecord, datefmt: object = None) -> str:  # noqa: N802 - logging's name
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{stamp}.{int(record.msecs):03d}Z"

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return one_line(text, _LONGEST)


_formatter = _OneLine()


def start(level: str, secrets: List[str]) -> None:
    """Sets logging up, or changes level and secrets later."""
    _formatter.secrets = sorted(secrets, key=len, reverse=True)
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_formatter)
        root.addHandler(handler)
        # Secrets could come back in what other modules log.
        logging.getLogger("asyncio").setLevel(logging.WARNING)
    root.setLevel(level.upper())
