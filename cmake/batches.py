#!/usr/bin/python3
"""Sorts sources into batches that can be compiled as one file each.

usage: batches.py MOST FILE...     MOST is the largest number of sources in a batch

Prints the number of each file's batch, in the order of the files, or - for a file that is to be compiled by itself. What
a source keeps to itself (its unnamed namespaces, aliases, macros) is seen by those that follow it in a batch. So two
sources share a batch only if neither uses a name that the other keeps to itself, also in headers of ours, and both open
the same namespaces. Nor do a source with the kernel's headers and one with the C library's for the same things, which
define the same twice.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Iterable

LITERALS_AND_COMMENTS = re.compile(
    r'R"(?P<mark>\w*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'|/\*.*?\*/|//[^\n]*', re.DOTALL
)
PROJECT = Path(__file__).resolve().parents[1]
#: Where headers are named from, beside the folders that a source is in.
ROOTS = [PROJECT / folder for folder in ("libfireclaw", "include", "tests")]
INCLUDE = re.compile(r'^#\s*include "([^"]+)"', re.MULTILINE)
NAMESPACE = re.compile(r"\bnamespace\s*[\w:]*\s*\{")
UNNAMED = re.compile(r"\bnamespace\s*\{")
ALIAS = re.compile(r"^namespace (\w+) = ([^;]+);", re.MULTILINE)
USING = re.compile(r"^using (?!namespace)(?:(\w+) = ([^;]+)|([\w:]*::(\w+)));", re.MULTILINE)
OPENED = re.compile(r"^using namespace ([\w:]+);", re.MULTILINE)
TAKEN = re.compile(r"using ([\w:]*::(\w+))$")
STATIC = re.compile(r"^static [^;{=(]*?(\w+)\s*[({=;]", re.MULTILINE)
DEFINE = re.compile(r"^#\s*define (\w+)", re.MULTILINE)
TYPE = re.compile(r"^(?:template <.*?> )?(?:struct|class|enum class|enum|union|using) (?:\[\[.*?\]\] )?(\w+)(?= ?(?:$|[{:=<]|final\b))")
# Not a member: one that stands after a dot, an arrow or another name's colons is looked up elsewhere.
WORD = re.compile(r"(?<![\w.:])(?<!->)[A-Za-z_]\w*")
KERNEL_HEADER = re.compile(r"^#\s*include <(linux/[\w/]+\.h)>", re.MULTILINE)
LIBC_HEADER = re.compile(r"^#\s*include <((?:arpa|net|netinet)/[\w/]+\.h|sys/mount\.h)>", re.MULTILINE)
ANGLES = re.compile(r"<[^<>]*>")


@dataclass
class Source:
    own: set[str] = field(default_factory=set)
    """Names that only this source is to see."""
    used: set[str] = field(default_factory=set)
    headers: frozenset[Path] = frozenset()
    """Those of ours that it includes, also by others."""
    aliases: dict[str, str] = field(default_factory=dict)
    opened: frozenset[str] = frozenset()
    kernel_headers: frozenset[str] = frozenset()
    libc_headers: frozenset[str] = frozenset()

    def brings_twice(self, other: Source) -> bool:
        return bool(self.kernel_headers and other.libc_headers - self.libc_headers)

    def clashes(self, other: Source) -> bool:
        """Whether one of the two would mean something else beside the other."""
        return bool(
            self.opened != other.opened
            or self.brings_twice(other)
            or other.brings_twice(self)
            or self.hides_from(other)
            or other.hides_from(self)
        )

    def hides_from(self, other: Source) -> bool:
        """Whether a name of this source would stand before one that the other means, or a header that it brings along."""
        brought = other.headers - self.headers
        if self.own & (other.used | union(declared_by(header) for header in brought)):
            return True
        if any(other.aliases.get(name, text) != text for name, text in self.aliases.items()):
            return True
        words = union(words_of(header) for header in brought) | (other.used - other.aliases.keys())
        return not words.isdisjoint(self.aliases)


def blank_braces(text: str, start: int) -> str:
    """What stands at the top of the block that begins at `start`, with inner blocks taken for the ends of statements."""
    depth, top = 1, []
    for part in re.finditer(r"[{}]|[^{}]+", text[start:]):
        if part[0] == "{":
            depth += 1
        elif part[0] == "}":
            depth -= 1
            if depth == 0:
                break
            if depth == 1:
                top.append("{};")
        elif depth == 1:
            top.append(part[0])
    return "".join(top)


def declared(statement: str) -> str | None:
    """The name that one statement of a namespace declares."""
    # Comments before it have become empty literals.
    statement = " ".join(statement.replace('""', " ").split())
    if not statement:
        return None
    if found := TYPE.match(statement):
        return found[1]
    statement = re.sub(r"\[\[.*?\]\]", "", statement)
    while ANGLES.search(statement):
        statement = ANGLES.sub("", statement)
    found = re.search(r"(\w+)\s*\(", statement) if "=" not in statement.partition("(")[0] else None
    found = found or re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*(?:=|\{|$)", statement)
    return found[1] if found else None


def union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


@cache
def included_by(file: Path) -> frozenset[Path]:
    """The headers of ours that a file includes, also by others."""
    found: set[Path] = set()
    for name in INCLUDE.findall(file.read_text(encoding="utf-8")):
        for root in (file.parent, *(folder for folder in file.parents if PROJECT in folder.parents), *ROOTS):
            if (root / name).is_file():
                found |= {root / name, *included_by(root / name)}
                break
    return frozenset(found)


@cache
def words_of(file: Path) -> frozenset[str]:
    return frozenset(WORD.findall(LITERALS_AND_COMMENTS.sub('""', file.read_text(encoding="utf-8"))))


@cache
def declared_by(header: Path) -> frozenset[str]:
    """The names that a header itself declares in namespaces."""
    names: set[str] = set()
    text = LITERALS_AND_COMMENTS.sub('""', header.read_text(encoding="utf-8"))
    for block in NAMESPACE.finditer(text):
        names.update(filter(None, map(declared, blank_braces(text, block.end()).split(";"))))
    return frozenset(names)


def read(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    text = LITERALS_AND_COMMENTS.sub('""', text)
    source = Source(used=set(words_of(path)), headers=included_by(path))
    source.kernel_headers = frozenset(KERNEL_HEADER.findall(text))
    source.libc_headers = frozenset(LIBC_HEADER.findall(text))
    source.own.update(DEFINE.findall(text), STATIC.findall(text))
    for block in UNNAMED.finditer(text):
        # The same alias twice is not a clash.
        inside = blank_braces(text, block.end())
        for statement in map(str.strip, inside.split(";")):
            if alias := re.match(r"namespace (\w+) = (.*)", statement, re.DOTALL):
                source.aliases[alias[1]] = alias[2]
            elif taken := TAKEN.match(statement):
                source.aliases[taken[2]] = taken[1]
            elif statement.startswith("using namespace "):
                continue
            elif (name := declared(statement)) and not name.isdigit():
                source.own.add(name)
    for name, text_of in ALIAS.findall(text):
        source.aliases[name] = text_of
    for name, text_of, path_taken, taken in USING.findall(text):
        source.aliases[name or taken] = text_of or path_taken
    source.opened = frozenset(name for name in OPENED.findall(text) if not name.endswith("literals"))
    return source


def sort(paths: list[Path], most: int) -> list[int]:
    """The number of each file's batch: the first one that has room and nothing that clashes. Those that clash with most
    others choose first, which makes fewer batches."""
    sources = list(map(read, paths))
    clashing = [{index for index, other in enumerate(sources) if other is not source and source.clashes(other)}
                for source in sources]
    batches: list[set[int]] = []
    for index in sorted(range(len(sources)), key=lambda index: len(clashing[index]), reverse=True):
        batch = next((batch for batch in batches if len(batch) < most and batch.isdisjoint(clashing[index])), None)
        if batch is None:
            batches.append(batch := set())
        batch.add(index)
    batches.sort(key=min)
    number_of = {index: number for number, batch in enumerate(batches) for index in batch}
    return [number_of[index] for index in range(len(sources))]


def main() -> None:
    most, *files = sys.argv[1:]
    numbers = sort([Path(name) for name in files], int(most))
    print(";".join("-" if numbers.count(number) == 1 else str(number) for number in numbers))


if __name__ == "__main__":
    main()
