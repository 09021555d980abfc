"""The agent's memory: MEMORY.md, an index that is always in the prompt, and memory/*.md, one file a topic.

Every change replaces a file as a whole, so that a kill at any moment leaves the old text or the new one. What is saved
is kept within limits: a full memory says so instead of growing.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Callable, Iterator, List, Set, Tuple

from ..base.files import atomic_write_at, open_folder, read_at, remove_leftovers
from ..base.text import clean_block, one_line

INDEX = "MEMORY.md"
FOLDER = "memory"
HEADING = "# Agent Memory\n"
INDEX_LINES = 200
INDEX_BYTES = 25 * 1024
TOPIC_BYTES = 64 * 1024
TOPICS = 200
LONGEST_NOTE = 4000
_LONGEST_INDEX_NOTE = 400
_HITS = 10
_WORD = re.compile(r"\w+")


class NotRemembered(Exception):
    """Why something cannot be remembered, in words for the model."""


def slug(topic: str) -> str:
    """The topic as a file name: lower case, words joined by hyphens."""
    name = "-".join(_WORD.findall(topic.casefold().replace("_", " ")))[:48].strip("-")
    if not name:
        raise NotRemembered("the topic must contain letters or digits")
    # A long name in another script may be more than a file system takes.
    while len(name.encode()) > 120:
        name = name[:-1]
    return name


class Memory:
    """Reads and writes below one folder. Used by one thread at a time; another program may edit the files too."""

    def __init__(self, root: str, today: Callable[[], str] = lambda: time.strftime("%Y-%m-%d", time.gmtime())) -> None:
        self._root = root
        self._today = today

    def prepare(self) -> None:
        """Makes what is missing and removes what a kill has left half written."""
        with open_folder(self._root) as root:
            remove_leftovers(root)
            with contextlib.suppress(FileExistsError):
                os.mkdir(FOLDER, 0o755, dir_fd=root)
            with open_folder(FOLDER, at=root) as topics:
                remove_leftovers(topics)
            if not self._read(root, INDEX):
                atomic_write_at(root, INDEX, HEADING.encode())

    @staticmethod
    def _read(folder: int, name: str, limit: int = 1 << 20) -> str:
        """The file's text; nothing if there is no such file. A file that is there but cannot be read is an error:
        taken for empty it would be overwritten."""
        try:
            return read_at(folder, name, limit)[0].decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def index(self) -> str:
        """The part of MEMORY.md that goes into the prompt."""
        with contextlib.suppress(OSError):
            with open_folder(self._root) as root:
                text = clean_block(self._read(root, INDEX, INDEX_BYTES + 4))
            lines = text.split("\n")[:INDEX_LINES]
            while len("\n".join(lines).encode()) > INDEX_BYTES:
                lines.pop()
            return "\n".join(lines).strip()
        return ""

    def topics(self) -> List[str]:
        """The topic files' names."""
        with contextlib.suppress(OSError):
            with open_folder(self._root) as root, open_folder(FOLDER, at=root) as folder:
                return sorted(name for name in os.listdir(folder) if name.endswith(".md") and not name.startswith("."))
        return []

    def save(self, note: str, topic: str = "", replace: bool = False) -> str:
        """Remembers a note: in the index, or in a topic's file, which the index then names. Says what it did."""
        note = clean_block(note).strip()
        if not note:
            raise NotRemembered("there is nothing to remember")
        if len(note) > LONGEST_NOTE:
            raise NotRemembered(f"a note may have at most {LONGEST_NOTE} characters; this one has {len(note)}")
        try:
            with open_folder(self._root) as root:
                if not topic.strip():
                    if len(note) > _LONGEST_INDEX_NOTE:
                        raise NotRemembered(f"a note of more than {_LONGEST_INDEX_NOTE} characters needs a topic")
                    self._add_to_index(root, f"- [{self._today()}] {one_line(note, LONGEST_NOTE)}")
                    return f"saved to {INDEX}"
                return self._save_topic(root, slug(topic), one_line(topic, 60), note, replace)
        except OSError as error:
            raise NotRemembered(f"the memory cannot be written: {(error.strerror or str(error)).lower()}") from error

    def _add_to_index(self, root: int, line: str) -> None:
        text = self._read(root, INDEX) or HEADING
        text = text.rstrip("\n") + "\n" + line + "\n"
        if text.count("\n") > INDEX_LINES or len(text.encode()) > INDEX_BYTES:
            raise NotRemembered(f"{INDEX} is full; shorten it with write_file, or move notes to topics")
        atomic_write_at(root, INDEX, text.encode())

    def _save_topic(self, root: int, name: str, title: str, note: str, replace: bool) -> str:
        file_name = f"{name}.md"
        with contextlib.suppress(FileExistsError):
            os.mkdir(FOLDER, 0o755, dir_fd=root)
        with open_folder(FOLDER, at=root) as folder:
            old = self._read(folder, file_name)
            if not old and len(os.listdir(folder)) >= TOPICS:
                raise NotRemembered(f"there are {TOPICS} topics already; add to one of them")
            entry = f"## {self._today()}\n{note}\n"
            text = f"# {title}\n\n{entry}" if replace or not old else old.rstrip("\n") + "\n\n" + entry
            if len(text.encode()) > TOPIC_BYTES:
                raise NotRemembered(f"topic '{name}' is full ({TOPIC_BYTES} bytes); save a summary with replace")
            link = f"({FOLDER}/{file_name})"
            # The index first: a name without its file is a smaller loss than a file that nothing points to.
            if link not in self._read(root, INDEX):
                self._add_to_index(root, f"- [{title.replace('[', '(').replace(']', ')')}]{link}")
            atomic_write_at(folder, file_name, text.encode())
        return f"saved to {FOLDER}/{file_name}"

    def _all_lines(self) -> Iterator[Tuple[str, int, str]]:
        with open_folder(self._root) as root:
            for number, line in enumerate(clean_block(self._read(root, INDEX)).split("\n"), 1):
                yield INDEX, number, line
            for name in self.topics():
                with open_folder(FOLDER, at=root) as folder:
                    text = clean_block(self._read(folder, name, 2 * TOPIC_BYTES))
                for number, line in enumerate(text.split("\n"), 1):
                    yield f"{FOLDER}/{name}", number, line

    def search(self, query: str) -> str:
        """The lines that hold most of the words, best first, with where they stand."""
        words: Set[str] = set(_WORD.findall(query.casefold()))
        if not words:
            raise NotRemembered("say which words to look for")
        hits: List[Tuple[int, str]] = []
        try:
            for name, number, line in self._all_lines():
                folded = f"{name} {line}".casefold()
                score = sum(1 for word in words if word in folded)
                # The name alone counts for its heading only, or else a whole topic would match by its name.
                if score and line.strip() and (number == 1 or any(word in line.casefold() for word in words)):
                    hits.append((score, f"{name}:{number}: {one_line(line, 300)}"))
        except OSError as error:
            raise NotRemembered(f"the memory cannot be read: {(error.strerror or str(error)).lower()}") from error
        if not hits:
            return "nothing found"
        hits.sort(key=lambda hit: -hit[0])
        more = len(hits) - _HITS
        found = "\n".join(text for _, text in hits[:_HITS])
        return found + (f"\n({more} more lines match)" if more > 0 else "")
