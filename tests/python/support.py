"""The prepared home folder that the tests share, and what they ask of the system."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Callable

import fireclaw

HOME: str = os.environ.get("FIRECLAW_TEST_HOME") or os.environ.get("FIRECLAW_BUILD_HOME") or ""
ENGINE = os.environ.get("FIRECLAW_TEST_ENGINE", "auto")


def open_host() -> fireclaw.Host:
    return fireclaw.Host.open(fireclaw.HostOptions(home=HOME, engine=ENGINE))


def running(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
