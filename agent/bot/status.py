"""What others can read of the agent: a small JSON file for the host, and the list of channels it was invited to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from typing import Any, Callable, Dict, List, Optional

from .base.files import atomic_write, atomic_write_at, open_folder, read_at, remove_leftovers
from .irc.protocol import Features
from .tools.workspace import PRIVATE

log = logging.getLogger("status")


class StatusFile:
    """Writes the status when something in it has changed, a moment later so that several changes make one file.
    Lives on the event loop. A file that cannot be written is reported once and does no other harm."""

    DELAY_S = 0.05

    def __init__(self, path: str, collect: Callable[[], Dict[str, Any]]) -> None:
        self._path = path
        self._collect = collect
        self._started = time.time()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._written: Optional[Dict[str, Any]] = None
        self._complained = False

    def start_over(self) -> None:
        """Another agent's time begins."""
        self._started = time.time()
        self.changed()

    def changed(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.DELAY_S, self.write)

    def write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        values = self._collect()
        if values == self._written:
            return
        now = time.time()
        record = {"schema": 1, "pid": os.getpid(), **values, "started_at": round(self._started, 3),
                  "updated_at": round(now, 3), "uptime_s": round(now - self._started, 3)}
        try:
            atomic_write(self._path, (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "replace"),
                         durable=False)
            self._written = values
        except OSError as error:
            if not self._complained:
                self._complained = True
                log.warning("cannot write the status file '%s': %s", self._path, error.strerror)


class ChannelStore:
    """The channels that the agent was invited to, in the workspace, so that it comes back to them."""

    FILE = "channels.json"

    def __init__(self, root: str) -> None:
        self._root = root

    def load(self) -> List[str]:
        """What was remembered. A file that is not ours or torn is set aside and reported, never built upon."""
        try:
            with open_folder(self._root) as root, open_folder(PRIVATE, at=root) as folder:
                remove_leftovers(folder)
                data, _ = read_at(folder, self.FILE, 1 << 16)
                try:
                    return self._checked(json.loads(data.decode("utf-8")))
                except (ValueError, RecursionError):
                    os.replace(self.FILE, f"{self.FILE}.bad", src_dir_fd=folder, dst_dir_fd=folder)
                    log.error("'%s/%s/%s' cannot be read; it is now %s.bad and invited channels are forgotten",
                              self._root, PRIVATE, self.FILE, self.FILE)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.error("cannot read the invited channels: %s", error)
        return []

    @staticmethod
    def _checked(value: Any) -> List[str]:
        if not isinstance(value, dict) or value.get("schema") != 1 or not isinstance(value.get("channels"), list):
            raise ValueError("not a list of channels")
        features = Features()
        features.chantypes = "#&+!"
        names = value["channels"]
        if not all(isinstance(name, str) and len(name) <= 64 and features.is_channel(name) for name in names):
            raise ValueError("not the name of a channel")
        return list(names)

    def save(self, names: List[str]) -> None:
        """Remembers these and no others. Trouble is logged: being on IRC matters more."""
        try:
            with open_folder(self._root) as root:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(PRIVATE, 0o755, dir_fd=root)
                with open_folder(PRIVATE, at=root) as folder:
                    record = {"schema": 1, "channels": names}
                    atomic_write_at(folder, self.FILE, (json.dumps(record, ensure_ascii=False) + "\n").encode())
        except OSError as error:
            log.error("cannot remember the invited channels: %s", error)
