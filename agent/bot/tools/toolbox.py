"""What the model may do, how it is described to the model, and the checks between its wish and the deed."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional

from ..base.cancel import Cancel, Cancelled
from ..base.config import Config
from ..base.text import clean_block, one_line
from ..llm.conversation import ToolCall
from . import shell
from .audit import Audit
from .memory import Memory, NotRemembered
from .workspace import Workspace, WorkspaceError

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")
_LONGEST_COMMAND = 32768
_LONGEST_FILE = 1 << 20


class ToolError(Exception):
    """Why a tool did not do it, in words for the model."""


@dataclass(frozen=True)
class _Parameter:
    kind: str
    about: str
    required: bool = True


_KINDS: Dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
}


@dataclass(frozen=True)
class _Tool:
    name: str
    about: str
    parameters: Mapping[str, _Parameter]
    run: Callable[[Dict[str, Any], Cancel], str]

    def schema(self) -> Dict[str, Any]:
        properties = {name: {"type": item.kind, "description": item.about} for name, item in self.parameters.items()}
        required = [name for name, item in self.parameters.items() if item.required]
        return {"type": "function", "function": {
            "name": self.name, "description": self.about,
            "parameters": {"type": "object", "properties": properties, "required": required},
        }}

    def check(self, arguments: Mapping[str, Any]) -> Dict[str, Any]:
        unknown = sorted(set(arguments) - set(self.parameters))
        if unknown:
            raise ToolError(f"unknown argument '{one_line(unknown[0], 60)}'; there are: {', '.join(self.parameters)}")
        for name, parameter in self.parameters.items():
            value = arguments.get(name)
            if value is None:
                if parameter.required:
                    raise ToolError(f"argument '{name}' ({parameter.kind}) is missing")
            elif not _KINDS[parameter.kind](value):
                raise ToolError(f"argument '{name}' must be a {parameter.kind}")
        return {name: value for name, value in arguments.items() if value is not None}


def cgroup_to_divide(own_cgroup: str) -> str:
    """The cgroup that guestd gave to our user, if we run in it; nothing elsewhere."""
    expected = f"/user-{os.getuid()}"
    with contextlib.suppress(OSError), open(own_cgroup, encoding="utf-8") as file:
        if any(line.strip() == f"0::{expected}/commands" for line in file):
            return expected
    return ""


class ToolBox:
    """The tools of one turn. Used on the worker's thread; every call is recorded before it runs and after."""

    def __init__(self, config: Config, memory: Memory, audit: Audit, monotonic: Callable[[], float] = time.monotonic,
                 podman: str = "podman", own_cgroup: str = "/proc/self/cgroup", cgroups: str = "/sys/fs/cgroup") -> None:
        self._tools = config.tools
        self._secrets = config.secrets()
        self._workspace = Workspace(config.workspace)
        self._memory = memory
        self._audit = audit
        self._monotonic = monotonic
        self._podman = podman
        self._own_cgroup = own_cgroup
        self._cgroups = cgroups
        self._known = {tool.name: tool for tool in self._make()}

    def schemas(self) -> List[Dict[str, Any]]:
        return [tool.schema() for tool in self._known.values()]

    def call(self, call: ToolCall, cancel: Cancel, **about: str) -> str:
        """Does what the model asked for and returns the text for it, whatever went wrong. Only Cancelled is raised."""
        try:
            self._audit.record("call", tool=call.name[:100], arguments=dict(call.arguments), **about)
        except OSError as error:
            return f"error: the audit log cannot be written ({one_line(str(error), 120)}), so no tool may run"
        began = self._monotonic()
        ok, result = False, "cancelled"
        try:
            ok, result = self._run(call, cancel)
            return result
        finally:
            elapsed = round((self._monotonic() - began) * 1000)
            try:
                self._audit.record("result", tool=call.name[:100], ok=ok, ms=elapsed, bytes=len(result.encode()),
                                   result=one_line(result, 200), **about)
            except OSError:
                # The call itself is on record; the next one will be refused.
                pass

    def _run(self, call: ToolCall, cancel: Cancel) -> "tuple[bool, str]":
        tool = self._known.get(call.name)
        try:
            if tool is None:
                raise ToolError(f"there is no tool '{one_line(call.name, 60)}'; there are: {', '.join(self._known)}")
            if call.broken:
                raise ToolError(call.broken)
            return True, self._clean(tool.run(tool.check(call.arguments), cancel))
        except Cancelled:
            raise
        except (ToolError, WorkspaceError, NotRemembered) as error:
            return False, self._clean(f"error: {error}")
        except OSError as error:
            return False, self._clean(f"error: {one_line(str(error), 200)}")

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _make(self) -> List[_Tool]:
        tools = [
            _Tool("run_command",
                  "Run a shell command (sh -c) in the workspace folder and get its output and exit status. It has no "
                  f"input and {self._tools.timeout_s:g} seconds; what is put into the background continues.",
                  {"command": _Parameter("string", "the shell command"),
                   "timeout": _Parameter("integer", "fewer seconds to allow", required=False)},
                  self._run_command),
            _Tool("read_file", "Read a text file of the workspace.",
                  {"path": _Parameter("string", "path within the workspace"),
                   "first_line": _Parameter("integer", "start at this line, counted from 1", required=False)},
                  self._read_file),
            _Tool("write_file", "Write a file of the workspace, replacing what it held. Folders are made as needed.",
                  {"path": _Parameter("string", "path within the workspace"),
                   "content": _Parameter("string", "the whole new content")},
                  self._write_file),
            _Tool("save_memory",
                  "Remember something for later conversations: a short note, or a longer one under a topic.",
                  {"note": _Parameter("string", "what to remember"),
                   "topic": _Parameter("string", "topic for details; none for a short note", required=False),
                   "replace": _Parameter("boolean", "replace all that the topic held", required=False)},
                  lambda given, cancel: self._memory.save(
                      given["note"], given.get("topic", ""), given.get("replace", False))),
            _Tool("search_memory", "Find what was remembered, by words.",
                  {"query": _Parameter("string", "words to look for")},
                  lambda given, cancel: self._memory.search(given["query"])),
        ]
        if self._tools.containers.enabled:
            network = "with" if self._tools.containers.network else "without"
            tools.insert(1, _Tool(
                "container_run",
                f"Run a shell command in a new container {network} network access, removed afterwards. The workspace is "
                "mounted at /workspace.",
                {"image": _Parameter("string", "container image, such as docker.io/library/alpine"),
                 "command": _Parameter("string", "the shell command")},
                self._container_run))
        return tools

    def _command_of(self, given: Mapping[str, Any]) -> str:
        command = str(given["command"])
        if not command.strip() or "\0" in command or len(command) > _LONGEST_COMMAND:
            raise ToolError(f"the command must have 1 to {_LONGEST_COMMAND} characters and no zero byte")
        return command.encode("utf-8", "replace").decode()

    def _run_command(self, given: Dict[str, Any], cancel: Cancel) -> str:
        timeout = min(self._tools.timeout_s, max(1.0, float(given.get("timeout", self._tools.timeout_s))))
        outcome = shell.run(["/bin/sh", "-c", self._command_of(given)], self._workspace.root, timeout,
                            self._tools.output_bytes, cancel)
        return self._report(outcome, timeout)

    def _report(self, outcome: shell.Outcome, timeout: float) -> str:
        head = f"timed out after {timeout:g} s and was killed" if outcome.timed_out else outcome.describe()
        return head + (f"\n{outcome.output}" if outcome.output else "\n(no output)")

    def _container_run(self, given: Dict[str, Any], cancel: Cancel) -> str:
        image = str(given["image"])
        if not _IMAGE.fullmatch(image):
            raise ToolError(f"'{one_line(image, 60)}' is not an image name")
        name = f"fireclaw-{os.urandom(6).hex()}"
        argv = [
            self._podman, "run", "--rm", "--name", name, "--pull", "missing", *self._limits(),
            "--network", "private" if self._tools.containers.network else "none", "--cap-drop", "all",
            "--security-opt", "no-new-privileges", "--volume", f"{self._workspace.root}:/workspace",
            "--workdir", "/workspace", image, "sh", "-c", self._command_of(given),
        ]
        finished = False
        try:
            outcome = shell.run(argv, self._workspace.root, self._tools.timeout_s, self._tools.output_bytes, cancel,
                                pursue=False)
            finished = not outcome.timed_out
            return self._report(outcome, self._tools.timeout_s)
        except FileNotFoundError:
            finished = True
            raise ToolError("podman is not installed here") from None
        finally:
            if not finished:
                self._remove_container(name)

    def _limits(self) -> List[str]:
        limits = self._tools.containers
        # By the file that the kernel offers for each.
        known = {"memory.max": ["--memory", f"{limits.memory_mib}m"], "cpu.max": ["--cpus", f"{limits.cpus:g}"],
                 "pids.max": ["--pids-limit", str(limits.pids)]}
        # For an ordinary user podman heeds limits only below a cgroup that is named and that is the user's.
        parent = cgroup_to_divide(self._own_cgroup)
        if not parent:
            return [word for words in known.values() for word in words]
        options = ["--cgroup-parent", parent]
        for file, words in known.items():
            # Asked for one that the kernel was built without, a container would not start at all.
            if os.path.exists(f"{self._cgroups}{parent}/commands/{file}"):
                options += words
        return options

    def _remove_container(self, name: str) -> None:
        # Killing podman leaves the container, which is conmon's child, running. conmon and the process that holds the
        # user's namespaces were left alone for this: podman ends the one, and its other containers live in the other.
        with Cancel() as own:
            shell.run([self._podman, "rm", "--force", "--time", "0", name], self._workspace.root, 60.0, 1024, own)

    def _read_file(self, given: Dict[str, Any], cancel: Cancel) -> str:
        data, size = self._workspace.read(given["path"], _LONGEST_FILE)
        lines = clean_block(data.decode("utf-8", "replace")).split("\n")
        first = given.get("first_line", 1)
        if first < 1 or first > len(lines):
            raise ToolError(f"the file has {len(lines)} lines; first_line must be one of them")
        kept: List[str] = []
        room = self._tools.output_bytes
        for line in lines[first - 1 :]:
            room -= len(line.encode()) + 1
            if room < 0:
                break
            kept.append(line)
        last = first - 1 + len(kept)
        if not kept:
            part: str = lines[first - 1].encode()[: self._tools.output_bytes].decode("utf-8", "ignore")
            return part + "\n[the line continues]"
        more: Optional[str] = None
        if last < len(lines):
            more = f"\n[lines {first} to {last} of {len(lines)}; continue with first_line {last + 1}]"
        elif size > len(data):
            more = f"\n[only the first {len(data)} of {size} bytes were read]"
        return "\n".join(kept) + (more or "")

    def _write_file(self, given: Dict[str, Any], cancel: Cancel) -> str:
        data = str(given["content"]).encode("utf-8", "replace")
        if len(data) > _LONGEST_FILE:
            raise ToolError(f"a file may have at most {_LONGEST_FILE} bytes")
        self._workspace.write(given["path"], data)
        return f"wrote {len(data)} bytes"
