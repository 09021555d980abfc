#!/usr/bin/python3
"""Checks that the source tree keeps the rules in rules.py: who may include whom, and what may not be written where.

usage: check.py ROOT [--compiler CXX]

With a compiler, each public header is also compiled on its own. Prints one line a finding; exit status 1 if any.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import rules

SOURCE_SUFFIXES = {".cpp", ".hpp", ".c", ".h"}
SOURCE_FOLDERS = ["include", "libfireclaw", "apps", "agent", "bindings", "examples", "tests"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
# Comments, and string and character literals (raw ones too), whichever starts first. A digit separator (1'000)
# starts no literal.
LITERAL = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""",
    re.DOTALL,
)


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.text}"


@dataclass(frozen=True)
class Include:
    line: int
    quoted: bool
    name: str


def without(text: str, keep_literals: bool) -> str:
    """The text with comments (and literals) blanked out, line numbers unchanged."""

    def blank(match: re.Match[str]) -> str:
        found = match.group(0)
        if keep_literals and not found.startswith("/"):
            return found
        return re.sub(r"[^\n]", " ", found)

    return LITERAL.sub(blank, text)


class Source:
    """One file of the tree."""

    def __init__(self, root: Path, path: Path) -> None:
        self.path = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        self.code = without(text, keep_literals=False)
        commentless = without(text, keep_literals=True)
        self.includes = [
            Include(commentless.count("\n", 0, m.start(1)) + 1, m.group(1) == '"', m.group(2))
            for m in INCLUDE.finditer(commentless)
        ]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def is_header(self) -> bool:
        return self.path.endswith((".hpp", ".h"))

    @property
    def is_test(self) -> bool:
        return rules.TEST_FILE.search(self.path) is not None

    @property
    def room(self) -> str | None:
        """The room it belongs to; None outside the rooms."""
        parts = self.path.split("/")
        return parts[1] if parts[0] == "libfireclaw" and len(parts) > 2 else None

    def line_of(self, offset: int) -> int:
        return self.code.count("\n", 0, offset) + 1


def inside(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


class Checker:
    def __init__(self, root: Path, allowed: dict[tuple[str, str], str]) -> None:
        self.root = root
        self.allowed = allowed
        self.used: set[tuple[str, str]] = set()
        self.findings: list[Finding] = []
        self.sources = [
            Source(root, path)
            for folder in SOURCE_FOLDERS
            for path in sorted((root / folder).rglob("*"))
            if path.suffix in SOURCE_SUFFIXES and path.is_file()
        ]
        self.by_path = {source.path: source for source in self.sources}

    def report(self, source: Source, line: int, rule: str, text: str) -> None:
        if (source.path, rule) in self.allowed:
            self.used.add((source.path, rule))
        else:
            self.findings.append(Finding(source.path, line, rule, text))

    def run(self) -> list[Finding]:
        for source in self.sources:
            self.check_placement(source)
            self.check_header(source)
            self.check_own_header_first(source)
            self.check_patterns(source)
            for include in source.includes:
                self.check_include(source, include)
        self.check_size()
        for path, rule in sorted(set(self.allowed) - self.used):
            self.findings.append(Finding(path, 1, "stale-exception", f"nothing breaks '{rule}' there any more"))
        return sorted(self.findings)

    def check_placement(self, source: Source) -> None:
        if source.room is not None and source.room not in rules.ROOMS:
            self.report(source, 1, "room", f"'{source.room}' is not a room; the rooms are {', '.join(rules.ROOMS)}")
        parent, _, name = source.folder.rpartition("/")
        if parent in rules.INNER_ROOMS and name not in rules.INNER_ROOMS[parent] and not source.is_test:
            known = ", ".join(rules.INNER_ROOMS[parent])
            self.report(source, 1, "inner-room", f"'{name}' is not a room of {parent}; its rooms are {known}")

    def check_size(self) -> None:
        """A folder that holds too much shows no idea any more: sort it into folders."""
        sources = [source.path for source in self.sources if source.path.endswith((".cpp", ".c")) and not source.is_test]
        sources += [path.relative_to(self.root).as_posix() for folder in rules.PYTHON_FOLDERS
                    for path in (self.root / folder).rglob("*.py")]
        for folder, count in sorted(Counter(path.rpartition("/")[0] for path in sources).items()):
            if count <= rules.MOST_SOURCES:
                continue
            if (folder, "folder-size") in self.allowed:
                self.used.add((folder, "folder-size"))
            else:
                self.findings.append(Finding(folder, 1, "folder-size", f"holds {count} sources, more than "
                                             f"{rules.MOST_SOURCES}: sort them into folders, one idea each"))

    @staticmethod
    def level(path: str, outer: str) -> int:
        """How high a file stands among the rooms inside `outer`; on top of all if no room is named after it."""
        first = path.removeprefix(outer + "/").partition("/")[0].partition(".")[0]
        order = rules.INNER_ROOMS[outer]
        return order.index(first) if first in order else len(order)

    def check_inner_order(self, source: Source, include: Include, target: str) -> None:
        for outer in rules.INNER_ROOMS:
            if source.is_test or not inside(source.path, (outer,)) or not inside(target, (outer,)):
                continue
            if self.level(target, outer) > self.level(source.path, outer):
                self.report(source, include.line, "inner-room", f"\"{include.name}\" stands above it in {outer}: "
                            + " < ".join(rules.INNER_ROOMS[outer]))

    def check_header(self, source: Source) -> None:
        if not source.is_header:
            return
        first = next((line.strip() for line in source.code.splitlines() if line.strip()), "")
        if first != "#pragma once":
            self.report(source, 1, "pragma-once", "a header starts with #pragma once")
        for match in re.finditer(r"\busing\s+namespace\b", source.code):
            self.report(source, source.line_of(match.start()), "using-namespace", "not in a header: it leaks")

    def check_own_header_first(self, source: Source) -> None:
        if not source.path.endswith(".cpp") or source.is_test or not source.includes:
            return
        own = source.path.removesuffix(".cpp") + ".hpp"
        resolved = [self.resolve(source, include) for include in source.includes]
        if own in resolved and resolved[0] != own:
            line = source.includes[resolved.index(own)].line
            self.report(source, line, "own-header-first", f"include \"{own}\" before all others")

    def check_patterns(self, source: Source) -> None:
        for pattern in rules.PATTERNS:
            if not inside(source.path, pattern.where) or (source.is_test and not pattern.tests_too):
                continue
            for match in pattern.regex.finditer(source.code):
                self.report(source, source.line_of(match.start()), pattern.name, pattern.why)

    def resolve(self, source: Source, include: Include) -> str | None:
        """The file of the tree that an include names, or None."""
        if not include.quoted:
            return None
        name = include.name
        candidates = [f"{source.folder}/{name}", f"include/{name}", f"libfireclaw/{name}", f"tests/{name}"]
        if source.is_test:
            candidates.append(f"agent/guestd/{name}")
        if source.is_test or inside(source.path, ("apps", "agent")):
            # Within a program's folder also from folders below it.
            top = "/".join(source.path.split("/")[:2])
            candidates += [f"{top}/{name}", f"apps/{name}"]
        if inside(source.path, ("bindings",)):
            candidates.append(f"bindings/src/{name}")
        for candidate in candidates:
            if candidate in self.by_path and ".." not in name:
                return candidate
        return None

    def check_include(self, source: Source, include: Include) -> None:
        def bad(rule: str, text: str) -> None:
            self.report(source, include.line, rule, text)

        if not include.quoted:
            self.check_angle_include(source, include)
            return
        if ".." in include.name.split("/"):
            bad("include-path", f"\"{include.name}\": name the file from include/ or libfireclaw/")
            return
        if include.name in rules.DESCRIBED and (source.is_test or inside(source.path, rules.DESCRIBED[include.name])):
            return
        target = self.resolve(source, include)
        if target is None:
            bad("include-path", f"\"{include.name}\" is not a file of this tree; libraries are included with <>")
            return
        self.check_inner_order(source, include, target)
        shared = source.path.removeprefix("libfireclaw/").removesuffix(".cpp") + ".hpp"
        if shared in rules.SHARED_WITH_GUESTD and not source.is_header:
            self.check_guestd_reaches(source, include, target)
        elif inside(target, ("include",)):
            self.check_use_of_public(source, include, target)
        elif inside(target, ("libfireclaw",)):
            self.check_use_of_room(source, include, target)
        elif inside(target, ("tests",)) and not source.is_test:
            bad("tests", f"only tests may include \"{include.name}\"")
        elif inside(target, ("apps", "agent", "bindings", "examples")):
            top = "/".join(target.split("/")[:2])
            shared = top == rules.SHARED_BY_APPS and inside(source.path, ("apps",))
            if not inside(source.path, (top,)) and not shared and not source.is_test:
                bad("folder", f"\"{include.name}\" belongs to {top} alone")

    def check_angle_include(self, source: Source, include: Include) -> None:
        name = include.name
        public = inside(source.path, ("include",))
        if name in rules.STANDARD_HEADERS:
            return
        if name.startswith("fireclaw/") and inside(source.path, ("examples", "tests/package", "bindings")):
            return  # there the library is somebody else's
        if public:
            self.report(source, include.line, "public-header", f"<{name}>: public headers include only std and each other")
            return
        if rules.SYSTEM_HEADER.fullmatch(name):
            return
        if name.startswith("doctest/"):
            if not source.is_test:
                self.report(source, include.line, "tests", f"only tests may include <{name}>")
            return
        for pattern, folders in rules.LIBRARIES.items():
            if re.fullmatch(pattern, name):
                if not inside(source.path, folders):
                    where = ", ".join(folders)
                    self.report(source, include.line, "library", f"<{name}> is included only in {where}")
                return
        self.report(source, include.line, "library", f"<{name}> is not known to tests/structure/rules.py")

    def check_use_of_public(self, source: Source, include: Include, target: str) -> None:
        room = source.room
        name = target.removeprefix("include/fireclaw/")
        if inside(source.path, ("agent",)):
            self.report(source, include.line, "guestd", f"\"{include.name}\": code inside the guest shares only "
                        + ", ".join(sorted(rules.SHARED_WITH_GUESTD)))
        elif room is not None and room != "core" and name not in rules.PUBLIC_FOR_ROOMS:
            allowed = ", ".join(sorted(rules.PUBLIC_FOR_ROOMS))
            self.report(source, include.line, "room", f"\"{include.name}\": below core only {allowed} may be used")

    def check_use_of_room(self, source: Source, include: Include, target: str) -> None:
        def bad(rule: str, text: str) -> None:
            self.report(source, include.line, rule, f"\"{include.name}\": {text}")

        parts = target.split("/")
        theirs = parts[1] if len(parts) > 2 else ""
        if inside(source.path, ("include",)):
            bad("public-header", "public headers include only std and each other")
        elif inside(source.path, ("apps",)) and include.name in rules.SHARED_WITH_PROGRAMS:
            self.check_reaches(source, include, target, rules.SHARED_WITH_PROGRAMS, "folder", "programs share only")
        elif inside(source.path, ("apps", "bindings", "examples")) and not source.is_test:
            bad("folder", "apps, bindings and examples use only the public headers")
        elif inside(source.path, ("agent",)) and not source.is_test:
            self.check_guestd_reaches(source, include, target)
        elif source.room in rules.ROOMS and theirs in rules.ROOMS:
            ours = source.room
            if rules.ROOMS.index(theirs) > rules.ROOMS.index(ours):
                bad("room", f"{ours} is below {theirs}")
            elif ours != theirs and {ours, theirs} <= rules.PARALLEL_ROOMS:
                bad("room", f"{ours} and {theirs} stand side by side and know nothing of each other")
            elif (ours == theirs and len(parts) > 3 and "/".join(parts[:2]) in rules.PARALLEL_FOLDERS
                  and inside(source.path, tuple(rules.PARALLEL_FOLDERS)) and source.path.count("/") > 2
                  and source.path.split("/")[2] != parts[2]):
                bad("room", f"{source.folder} and {'/'.join(parts[:3])} know nothing of each other")

    def check_guestd_reaches(self, source: Source, include: Include, target: str) -> None:
        """guestd is linked statically and runs as PID 1: the shared files, and nothing of ours behind them."""
        self.check_reaches(source, include, target, rules.SHARED_WITH_GUESTD, "guestd", "code inside the guest shares only")

    def check_reaches(self, source: Source, include: Include, target: str, shared: set[str], rule: str, who: str) -> None:
        seen: set[str] = set()
        todo = [target]
        while todo:
            path = todo.pop()
            if path in seen:
                continue
            seen.add(path)
            if path.removeprefix("libfireclaw/") not in shared:
                via = "" if path == target else f" (through \"{include.name}\")"
                self.report(source, include.line, rule, f"reaches {path}{via}; {who} " + ", ".join(sorted(shared)))
                continue
            file = self.by_path[path]
            todo += [found for found in (self.resolve(file, other) for other in file.includes) if found]


def compile_alone(root: Path, compiler: str) -> list[Finding]:
    """Each public header must compile on its own, as the first thing a program includes, with strict warnings."""
    findings = []
    for header in sorted((root / "include").rglob("*.hpp")):
        name = header.relative_to(root / "include").as_posix()
        run = subprocess.run(
            [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion",
             "-Werror", "-I", str(root / "include"), "-x", "c++", "-"],
            input=f'#include "{name}"\n', capture_output=True, text=True, check=False, timeout=120)
        if run.returncode != 0:
            errors = [line for line in run.stderr.splitlines() if "error" in line] or ["compiler failed"]
            findings.append(Finding(f"include/{name}", 1, "compiles-alone", errors[0]))
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--compiler")
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    checker = Checker(root, rules.ALLOWED)
    if not checker.sources:
        print(f"{root} holds no sources", file=sys.stderr)
        return 2
    findings = checker.run()
    if arguments.compiler:
        findings += compile_alone(root, arguments.compiler)
    for finding in findings:
        print(finding)
    print(f"{len(checker.sources)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
