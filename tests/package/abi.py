#!/usr/bin/python3
"""Describes the library's binary interface, for abidiff to compare.

usage: abi.py BUILD-FOLDER SOURCE-FOLDER

Writes SOURCE-FOLDER/abi/<soname>.abi.xz: what is done when a version is released. The description is of the public headers'
types and the functions that the library exports. What a build has of debug information is too little for it, so the
sources that define those functions are compiled again.
"""

from __future__ import annotations

import json
import lzma
import re
import shlex
import sys
import tempfile
from pathlib import Path

from packages import output, run


def exported(library: Path) -> set[str]:
    """The symbols that programs can link to, without the version script's version."""
    lines = output("nm", "--dynamic", "--defined-only", library).splitlines()
    return {line.split()[2].split("@")[0] for line in lines if " A " not in line}


def soname(library: Path) -> str:
    match = re.search(r"Library soname: \[(.+)\]", output("readelf", "-dW", library))
    if match is None:
        raise SystemExit(f"{library} has no SONAME")
    return match.group(1)


def released(source: Path, name: str) -> Path:
    """Where the description of the last release with that SONAME is."""
    return source / "abi" / f"{name}.abi.xz"


class Interface:
    """The interface of the shared library in a build folder."""

    def __init__(self, build: Path, source: Path) -> None:
        self.source = source
        self.library = build / "lib/libfireclaw.so"
        self.soname = soname(self.library)
        self.symbols = exported(self.library)
        commands = [entry for entry in json.loads((build / "compile_commands.json").read_text())
                    if " -o libfireclaw/" in entry["command"] and "_test.dir/" not in entry["command"]]
        self.commands = {
            str(file.relative_to(source / "libfireclaw")): (Path(entry["directory"]), shlex.split(entry["command"]))
            for entry in commands
            if (file := Path(entry["file"])).is_relative_to(source / "libfireclaw")
        }

    def sources(self) -> list[str]:
        """Those that define exported functions; not those that only have copies of inline ones."""
        found = []
        for name, (directory, command) in self.commands.items():
            made = directory / command[command.index("-o") + 1]
            symbols = output("nm", "--defined-only", made).splitlines() if made.exists() else []
            if any(line.split()[1:2] == ["T"] and line.split()[2] in self.symbols for line in symbols):
                found.append(name)
        return sorted(found)

    def describe(self, sources: list[str], description: Path, include: Path | None = None) -> set[str]:
        """Writes the description of what `sources` define, and returns its symbols. `include`: other public headers."""
        include = include or self.source / "include"
        with tempfile.TemporaryDirectory(prefix="fireclaw-abi-") as scratch:
            objects = []
            for number, name in enumerate(sources):
                directory, command = self.commands[name]
                words = [word for word in command if not re.fullmatch(r"-O.|-g\d?|-Werror|\S*/?ccache|-[UD]_FORTIFY_SOURCE.*", word)]
                words = [f"-I{include}" if word == f"-I{self.source / 'include'}" else word for word in words]
                objects.append(f"{scratch}/{number}.o")
                words[words.index("-o") + 1] = objects[-1]
                output(*words, "-O0", "-g", cwd=directory)
            compiler = next(word for word in words if not word.endswith("ccache"))
            library = Path(scratch) / self.soname
            output(compiler, "-shared", "-o", library, *objects, f"-Wl,-soname,{self.soname}",
                   f"-Wl,--version-script={self.source}/libfireclaw/exports.map", "-Wl,--unresolved-symbols=ignore-all")
            output("abidw", "--headers-dir", include, "--drop-private-types", "--no-corpus-path", "--no-comp-dir-path",
                   "--no-show-locs", "--out-file", description, library)
            return exported(library)

    def describe_all(self, description: Path) -> None:
        described = self.describe(self.sources(), description)
        if described != self.symbols:
            raise SystemExit(f"not described: {sorted(self.symbols - described)}")


def incompatible(before: Path, after: Path) -> str:
    """What of `before` is not so any more, as abidiff reports it; additions are none of it."""
    done = run("abidiff", "--no-added-syms", before, after)
    if done.returncode & 3:
        raise AssertionError(f"abidiff failed\n{done.stdout}{done.stderr}")
    return done.stdout if done.returncode else ""


if __name__ == "__main__":
    BUILD, SOURCE = (Path(word).resolve() for word in sys.argv[1:3])
    interface = Interface(BUILD, SOURCE)
    place = released(SOURCE, interface.soname)
    place.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fireclaw-abi-") as folder:
        described = Path(folder) / "now.abi"
        interface.describe_all(described)
        # A few MB of XML, nearly all of it alike.
        place.write_bytes(lzma.compress(described.read_bytes(), preset=9))
    print(f"{place}: {len(interface.symbols)} symbols")
