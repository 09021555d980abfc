#!/usr/bin/python3
"""Fuzzes, and keeps what was found: fuzz.py [--build FOLDER] [--seconds N] [--jobs N] [FUZZER...].

Runs the programs of the preset fuzz, each for N seconds (600), from tests/fuzz/corpus/FUZZER and tests/fuzz/found/FUZZER.txt.
With --seconds 0 nothing is run. All inputs that reached something new stay in FOLDER/corpora/FUZZER. The smallest that
reach as much go to tests/fuzz/found/FUZZER.txt, as far as they fit into 16 KiB: an input a line, with Python's escapes.
An input that breaks something is left in FOLDER/broken/FUZZER; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
LONGEST_INPUT = 1024
MOST_BYTES = 16 * 1024
MEMORY_MIB = 3000
#: An input that takes longer breaks something.
LONGEST_RUN_S = 100
#: The engine looks at its clock between two inputs only.
EXTRA_S = 300


def to_line(data: bytes) -> str:
    text = data.decode("latin-1").encode("unicode_escape").decode("ascii")
    return text[:-1] + "\\x20" if text.endswith(" ") else text


def from_line(line: str) -> bytes:
    return line.encode("ascii").decode("unicode_escape").encode("latin-1")


def found_file(name: str) -> Path:
    return HERE / "found" / f"{name}.txt"


def unpack(name: str, folder: Path) -> None:
    if not found_file(name).exists():
        return
    for number, line in enumerate(found_file(name).read_text("ascii").splitlines()):
        (folder / f"found-{number}").write_bytes(from_line(line))


def run(program: Path, seconds: int, corpus: Path, broken: Path) -> bool:
    log = corpus.with_suffix(".log")
    command = [program, f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB}", f"-timeout={LONGEST_RUN_S}",
               f"-artifact_prefix={broken}/", "-print_final_stats=1", corpus, HERE / "corpus" / program.name]
    with open(log, "wb") as output:
        ended = subprocess.run(command, stdout=output, stderr=output, timeout=seconds + EXTRA_S, check=False)
    runs = [line.split()[-1] for line in log.read_text(errors="replace").splitlines() if "number_of_executed" in line]
    print(f"{program.name}: {runs[-1] if runs else 'no'} runs" + (f", BROKEN, see {log}" if ended.returncode else ""), flush=True)
    return ended.returncode == 0


def keep(program: Path, corpus: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        given, least = Path(folder) / "given", Path(folder) / "least"
        given.mkdir()
        # What the inputs to start from reach need not be kept twice.
        shutil.copytree(HERE / "corpus" / program.name, least)
        known = set(least.iterdir())
        for file in corpus.iterdir():
            if file.stat().st_size <= LONGEST_INPUT:
                (given / file.name).write_bytes(file.read_bytes())
        subprocess.run([program, "-merge=1", f"-rss_limit_mb={MEMORY_MIB}", least, given],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        found = [file.read_bytes() for file in set(least.iterdir()) - known]
        lines, size = [], 0
        for data in sorted(filter(None, found), key=lambda data: (len(data), data)):
            line = to_line(data) + "\n"
            size += len(line)
            if size > MOST_BYTES:
                break
            lines.append(line)
    found_file(program.name).parent.mkdir(exist_ok=True)
    if lines:
        found_file(program.name).write_text("".join(lines), "ascii")
    else:
        found_file(program.name).unlink(missing_ok=True)


def fuzz(program: Path, build: Path, seconds: int) -> bool:
    corpus, broken = build / "corpora" / program.name, build / "broken" / program.name
    corpus.mkdir(parents=True, exist_ok=True)
    broken.mkdir(parents=True, exist_ok=True)
    unpack(program.name, corpus)
    sound = seconds == 0 or run(program, seconds, corpus, broken)
    if sound:
        keep(program, corpus)
    return sound


def main() -> int:
    parser = argparse.ArgumentParser(usage=(__doc__ or "").splitlines()[0].partition(": ")[2])
    parser.add_argument("--build", type=Path, default=HERE.parents[1] / "build" / "fuzz")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    names = arguments.names or sorted(source.stem for source in HERE.glob("*_fuzz.cpp"))
    programs = [arguments.build / "tests" / "fuzz" / name for name in names]
    with ThreadPoolExecutor(arguments.jobs) as workers:
        return 0 if all(list(workers.map(lambda program: fuzz(program, arguments.build, arguments.seconds), programs))) else 1


if __name__ == "__main__":
    sys.exit(main())
