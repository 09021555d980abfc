"""Where programs and libraries look for the libraries that they need."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

PROGRAM_OR_LIBRARY = {2, 3}  # ET_EXEC, ET_DYN


def binaries(folder: Path) -> list[Path]:
    """All programs and shared libraries below the folder. What is only on its way to be linked is neither."""
    found = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_file() or path.suffix in (".o", ".gch"):
            continue
        with path.open("rb") as file:
            head = file.read(18)
        if head[:4] == b"\x7fELF" and int.from_bytes(head[16:18], "little") in PROGRAM_OR_LIBRARY:
            found.append(path)
    return found


def entries(path: Path) -> list[str]:
    said = subprocess.run(["readelf", "-dW", str(path)], capture_output=True, text=True, check=True).stdout
    return [entry for paths in re.findall(r"\((?:RPATH|RUNPATH)\).*\[(.*)\]", said) for entry in paths.split(":")]


def open_entries(folder: Path) -> list[str]:
    """Entries that lead to wherever the program is called from: empty ones are the current folder."""
    return [f"{path}: '{entry}'" for path in binaries(folder) for entry in entries(path)
            if not re.match(r"/|\$ORIGIN(/|$)", entry)]
