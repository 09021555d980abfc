"""What is different between two configurations, in words that may be said in a channel."""

from __future__ import annotations

import dataclasses
from typing import List, Tuple

from .base.config import Config
from .base.text import one_line

# Read once, when the agent starts.
_FIXED = ("workspace", "status_file")


def _state(enabled: bool) -> str:
    return "on" if enabled else "off"


def merge(old: Config, new: Config) -> Tuple[Config, List[str]]:
    """The configuration to continue with, and the changes. No secret is ever named, only that it changed."""
    changes: List[str] = []
    if old.llm.model != new.llm.model:
        changes.append(f"model={new.llm.model}")
    if (old.llm.api, old.llm.url) != (new.llm.api, new.llm.url):
        changes.append(f"llm={new.llm.url}")
    rest = dataclasses.replace(old.llm, model=new.llm.model, api=new.llm.api, url=new.llm.url)
    changes.extend(f"llm.{item.name}" for item in dataclasses.fields(new.llm)
                   if getattr(rest, item.name) != getattr(new.llm, item.name))
    if old.persona != new.persona:
        changes.append("persona")
    if old.trigger != new.trigger:
        changes.append(f"trigger={one_line(new.trigger, 64)}")
    if old.tools.enabled != new.tools.enabled:
        changes.append(f"tools={_state(new.tools.enabled)}")
    elif old.tools != new.tools:
        changes.append("tools")
    if old.nick != new.nick:
        changes.append(f"nick={new.nick}")
    for name in ("user", "realname", "server", "channels", "operators", "invite_policy", "peers", "limits",
                 "http_proxy", "log_level"):
        if getattr(old, name) != getattr(new, name):
            changes.append(name)
    fixed = [name for name in _FIXED if getattr(old, name) != getattr(new, name)]
    changes.extend(f"{name} (after a restart)" for name in fixed)
    return dataclasses.replace(new, **{name: getattr(old, name) for name in fixed}), changes
