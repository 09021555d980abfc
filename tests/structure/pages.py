#!/usr/bin/python3
"""Checks the pages: links that lead somewhere, lines that fit, blocks that are run or say why not, errors that programs
know, the glossary's words.

usage: pages.py ROOT

A page is a Markdown file at the top of the tree, in docs/ or in examples/. The glossary (docs/glossary.md) names words
that are not used, in its tables' column "not"; they are refused in pages, in what programs and library say, and in the
public headers. Comments of these begin with a noun or a verb. Prints one line a finding; exit status 1 if any.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import check

LONGEST_LINE = 120
GLOSSARY = "docs/glossary.md"
INDEX = "docs/README.md"
# Pages in which words are not refused: the list of these words, and what was written for earlier versions.
UNJUDGED = (GLOSSARY, "CHANGELOG.md")

FENCE = re.compile(r"^(`{3,})\s*(.*)$")
LINK = re.compile(r"(!?)\[((?:[^\]\[`]|`[^`]*`)*)\]\(([^()\s]*)\)")
HEADING = re.compile(r"^#{1,6} +(.*?) *#*$")
CODE_SPAN = re.compile(r"`[^`]*`")
# Whose string literals people read.
SPEAKERS = ("apps", "libfireclaw", "agent/guestd", "bindings")
# Of an error: names in quotes, numbers, what stands for anything.
CHANGING = re.compile(r"'[^']*'|\.\.\.|\([^)]*\)|\b\w*\d[\w.:]*(?: s\b)?")
# A comment that begins so has to be read twice: it needs a noun or a verb first.
RIDDLE = re.compile(r"(Who|Whose|Whom|Whoever|Of|Nor)\b")
# Blocks of these languages must say what becomes of them.
COMMANDS = ("sh", "bash", "python")
EXCERPTS = ("cpp", "c++")


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is that of its first line of text; `words` is what follows the fence."""

    line: int
    words: str
    text: str

    @property
    def language(self) -> str:
        return self.words.partition(" ")[0]

    @property
    def use(self) -> str:
        return self.words.partition(" ")[2].strip()


class Page:
    """A page: its prose by line (without blocks), its blocks, its anchors."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.prose: list[tuple[int, str]] = []
        self.blocks: list[Block] = []
        self.unclosed: int | None = None
        self.anchors: set[str] = set()
        fence, started, words = "", 0, ""
        held: list[str] = []
        seen: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            found = FENCE.match(line)
            if fence:
                if found and found.group(1) == fence and not found.group(2):
                    self.blocks.append(Block(started + 1, words, "".join(part + "\n" for part in held)))
                    fence = ""
                else:
                    held.append(line)
            elif found:
                fence, started, words, held = found.group(1), number, found.group(2).strip(), []
            else:
                self.prose.append((number, line))
                if heading := HEADING.match(line):
                    anchor = anchor_of(heading.group(1))
                    count = seen.get(anchor, 0)
                    seen[anchor] = count + 1
                    self.anchors.add(f"{anchor}-{count}" if count else anchor)
        if fence:
            self.unclosed = started


def anchor_of(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def refused_words(page: Page) -> list[str]:
    """The words of column "not" in the glossary's tables."""
    words: list[str] = []
    column: int | None = None
    for _, line in page.prose:
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if column is None:
            column = cells.index("not") if "not" in cells else -1
        elif 0 <= column < len(cells) and not re.fullmatch(r":?-+:?", cells[column]):
            words += [word.strip() for word in cells[column].split(",") if word.strip()]
    return words


def refusal(word: str) -> re.Pattern[str]:
    """Finds a refused word in text, whatever its case and however it is broken into lines."""
    text = r"\s+".join(re.escape(part) for part in word.split())
    if word in ("is no", "are no"):
        # "There is no network device" is right, and so is "is no longer" and "is no more than".
        return re.compile(rf"(?<!there ){text}\b(?!\s+(longer|more|less)\b)", re.IGNORECASE)
    return re.compile(rf"\b{text}\b", re.IGNORECASE)


class Checker:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.findings: list[check.Finding] = []
        self._sayings: list[str] | None = None
        paths = [*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "examples").glob("*.md")]
        self.pages = {path.relative_to(root).as_posix(): Page(path.relative_to(root).as_posix(),
                                                              path.read_text(encoding="utf-8"))
                      for path in sorted(paths)}
        glossary = self.pages.get(GLOSSARY)
        self.refused = {word: refusal(word) for word in refused_words(glossary)} if glossary else {}

    def report(self, path: str, line: int, rule: str, text: str) -> None:
        self.findings.append(check.Finding(path, line, rule, text))

    def run(self) -> list[check.Finding]:
        for page in self.pages.values():
            self.check_lines(page)
            self.check_links(page)
            self.check_blocks(page)
            if page.path not in UNJUDGED:
                self.check_words(page)
            if page.path.startswith("docs/") and page.path != GLOSSARY:
                self.check_errors(page)
        self.check_index()
        self.check_strings()
        return sorted(self.findings)

    def check_lines(self, page: Page) -> None:
        if page.unclosed is not None:
            self.report(page.path, page.unclosed, "fence", "this block is not closed")
        for number, line in page.prose:
            # Rows of tables and lines of indented blocks cannot be broken; nor can a line that is one long word.
            if len(line) > LONGEST_LINE and not line.startswith(("|", "    ")) and " " in line.strip():
                self.report(page.path, number, "line", f"{len(line)} characters, and {LONGEST_LINE} are the limit")

    def check_links(self, page: Page) -> None:
        for number, line in page.prose:
            if line.startswith("    "):
                continue
            for _, text, target in LINK.findall(line):
                if re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                name, _, anchor = target.partition("#")
                path = Path(page.path).parent / name if name else Path(page.path)
                there = (self.root / path).resolve()
                if not there.is_relative_to(self.root.resolve()) or not there.exists():
                    self.report(page.path, number, "link", f"[{text}]: '{target}' is not in this tree")
                elif anchor:
                    known = self.pages.get(there.relative_to(self.root.resolve()).as_posix())
                    if known is None or anchor not in known.anchors:
                        self.report(page.path, number, "link", f"[{text}]: '{target}' has no such heading")

    def check_blocks(self, page: Page) -> None:
        before: Block | None = None
        for block in page.blocks:
            if block.language in COMMANDS + EXCERPTS and page.path.startswith("docs/"):
                self.check_use(page, block)
            elif block.language == "output" and (before is None or before.use != "run"):
                self.report(page.path, block.line, "block", "an output without a block that is run before it")
            elif block.language == "json":
                self.check_json(page, block)
            before = block

    def check_use(self, page: Page, block: Block) -> None:
        kind, _, rest = block.use.partition(" ")
        if kind == "from":
            file = self.root / rest
            if not file.is_file():
                self.report(page.path, block.line, "block", f"'{rest}' is not in this tree")
            elif squeezed(block.text) not in squeezed(file.read_text(encoding="utf-8")):
                self.report(page.path, block.line, "block", f"this is not what {rest} says")
        elif block.language in EXCERPTS:
            self.report(page.path, block.line, "block", "a program here is from a file that is built: say 'from FILE'")
        elif block.use != "run" and not re.fullmatch(r"not run: \S.*", block.use):
            self.report(page.path, block.line, "block", "say 'run', 'from FILE', or 'not run: ' and why")

    def check_json(self, page: Page, block: Block) -> None:
        for text in (block.text, "{" + block.text + "}"):
            try:
                json.loads(text)
                return
            except ValueError as error:
                problem = error
        self.report(page.path, block.line, "json", f"this is not JSON: {problem}")

    def check_words(self, page: Page) -> None:
        text = "\n".join(CODE_SPAN.sub("", line) for _, line in page.prose)
        numbers = [number for number, _ in page.prose]
        for word, pattern in self.refused.items():
            for found in pattern.finditer(text):
                number = numbers[text.count("\n", 0, found.start())]
                self.report(page.path, number, "word", f"'{word}': the glossary has another word")

    def check_errors(self, page: Page) -> None:
        """Errors in tables with a column "error" are what some source says, but for names and numbers."""
        column: int | None = None
        for number, line in page.prose:
            if not line.startswith("|"):
                column = None
                continue
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            if column is None:
                column = cells.index("error") if "error" in cells else -1
            elif 0 <= column < len(cells):
                for quoted in CODE_SPAN.findall(cells[column]):
                    parts = [part.strip() for part in CHANGING.split(quoted.strip("`")) if len(part.strip()) > 3]
                    if not any(all(part in text for part in parts) for text in self.sayings()):
                        self.report(page.path, number, "error", f"no source says {quoted}")

    def sayings(self) -> list[str]:
        if self._sayings is None:
            self._sayings = [text for folder in ("libfireclaw", "apps", "agent")
                             for path in (self.root / folder).rglob("*.cpp")
                             if not re.search(r"_test\.cpp$|/testing[_/]", path.as_posix())
                             for _, text in said(path.read_text(encoding="utf-8"))]
        return self._sayings

    def check_index(self) -> None:
        index = self.pages.get(INDEX)
        if index is None:
            return
        linked = {target.partition("#")[0] for _, line in index.prose for _, _, target in LINK.findall(line)}
        for path in self.pages:
            if path.startswith("docs/") and path != INDEX and path.removeprefix("docs/") not in linked:
                self.report(path, 1, "index", f"{INDEX} does not lead here")

    def check_strings(self) -> None:
        """What programs and library say: string literals, joined as the compiler joins them, the manual's sources, and the
        comments of public headers."""
        paths = [path for folder in (*SPEAKERS, "include") for path in (self.root / folder).rglob("*")]
        for path in sorted(paths):
            if path.suffix not in {".cpp", ".hpp", ".in"} or re.search(r"_test\.cpp$|/testing[_/]", path.as_posix()):
                continue
            written = path.read_text(encoding="utf-8")
            public = path.is_relative_to(self.root / "include")
            if public:
                self.check_comments(path, written)
            whole = public or path.suffix == ".in"
            for line, text in [(1, re.sub(r"\n\s*///", "", written))] if whole else said(written):
                for word, pattern in self.refused.items():
                    if pattern.search(text):
                        self.report(path.relative_to(self.root).as_posix(), line, "word",
                                    f"'{word}': the glossary has another word")

    def check_comments(self, path: Path, written: str) -> None:
        before = ""
        for number, line in enumerate(written.splitlines(), 1):
            text = line.strip()
            if text.startswith("///") and not before.startswith("///") and RIDDLE.match(text[3:].strip()):
                self.report(path.relative_to(self.root).as_posix(), number, "comment", "begin with a noun or a verb")
            before = text


def squeezed(text: str) -> str:
    """Without indentation, which an excerpt may lose."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def said(code: str) -> list[tuple[int, str]]:
    """The string literals, neighbours joined, each with the line that it starts on."""
    found: list[tuple[int, str]] = []
    end = -1
    for match in check.LITERAL.finditer(code):
        literal = match.group(0)
        if literal.startswith(("//", "/*", "'")):
            continue
        text = literal[1:-1].replace("\\n", "\n").replace('\\"', '"') if literal.startswith('"') else literal
        if end >= 0 and not code[end:match.start()].strip():
            line, before = found[-1]
            found[-1] = (line, before + text)
        else:
            found.append((code.count("\n", 0, match.start()) + 1, text))
        end = match.end()
    return found


def main() -> int:
    root = Path(sys.argv[1]).resolve()
    checker = Checker(root)
    if not checker.pages:
        print(f"{root} holds no pages", file=sys.stderr)
        return 2
    findings = checker.run()
    for finding in findings:
        print(finding)
    print(f"{len(checker.pages)} pages, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
