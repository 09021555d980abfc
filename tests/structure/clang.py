#!/usr/bin/env python3
"""Whether clang takes the sources that the fuzzers are made of: clang.py BUILD SOURCE [--all].

They are checked and not compiled, and the headers of libraries are parsed once for all: some 0.4 s a source. With --all,
the sources of library and programs are checked, which takes minutes. Exits with 77 where there is no clang++."""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterator, List, Pattern, Tuple

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-std=c++20"]
TESTS = re.compile(r"(_test\.cpp|/testing/[^/]*|/tests/(?!fuzz/).*)$")
ROOMS = re.compile(r"\bROOMS\s+([a-z ]+)")


def sources(build: Path, source: Path, objects: Pattern[str]) -> Iterator[Tuple[str, List[str]]]:
    """Each source once, with the folders and macros that it is compiled with."""
    known = set()
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file, command = entry["file"], shlex.split(entry["command"])
        if file in known or not file.endswith(".cpp") or not file.startswith(f"{source}/") or TESTS.search(file):
            continue
        if file.startswith(f"{build}/") or not objects.search(command[command.index("-o") + 1]):
            continue
        known.add(file)
        words = iter(command)
        flags: List[str] = []
        for word in words:
            if word.startswith(("-I", "-D")) and not word.startswith("-D_FORTIFY_SOURCE"):
                flags.append(word)
            elif word == "-isystem":
                flags += [word, next(words)]
        yield file, flags


def of_fuzzers(source: Path) -> Pattern[str]:
    """The objects that the fuzzers are linked from."""
    rooms = " ".join(ROOMS.findall((source / "tests/fuzz/CMakeLists.txt").read_text())).split()
    return re.compile(rf"/fireclaw_({'|'.join(sorted(set(rooms)))})\.dir/|/guestd_session\.dir/|^tests/fuzz/")


def precompiled(build: Path) -> List[str]:
    """The headers that GCC has precompiled for the library."""
    path = build / "CMakeFiles/precompiled_library.dir/cmake_pch.hxx"
    return re.findall(r"#include <[^>]+>", path.read_text()) if path.exists() else []


def main(build: Path, source: Path, every: bool) -> int:
    clang = shutil.which("clang++")
    if clang is None:
        print("skipped: there is no clang++; install it with: apt-get install clang")
        return 77
    checked = list(sources(build, source, re.compile("") if every else of_fuzzers(source)))
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        header, pch = Path(folder, "all.hpp"), Path(folder, "all.pch")
        header.write_text("\n".join(precompiled(build)) + "\n")
        subprocess.run([clang, *WARNINGS, "-DFMT_SHARED", "-x", "c++-header", str(header), "-o", str(pch)], check=True)

        def check(item: Tuple[str, List[str]]) -> str:
            file, flags = item
            begin = ["-include-pch", str(pch)] if "-DFMT_SHARED" in flags else []
            run = [clang, *WARNINGS, "-fsyntax-only", *begin, *flags, file]
            return subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for message in filter(None, pool.map(check, checked)):
                print(message, flush=True)
                refused += 1
    print(f"{len(checked)} sources, {refused} of them refused")
    return 1 if refused or not checked else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), "--all" in sys.argv[3:]))
