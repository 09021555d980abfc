"""The bot's source: only the standard library, nothing newer than Python 3.9, one direction of imports."""

import ast
import pathlib
import re
import sys
import unittest
from typing import Dict, Iterator, List, Set

from harness import BOT
from bot.irc.denials import JOIN_REFUSED, SPEECH_REFUSED

# Lowest first, rooms and modules in them: a module may import only what stands before it.
ROOMS = {
    "base": ["text", "names", "cancel", "files", "pacing", "config", "logs"],
    "irc": ["protocol", "events", "denials", "lookups", "outbox", "registration", "history", "session", "link"],
    "llm": ["refusals", "transport", "conversation", "arguments", "values", "thoughts", "written_calls", "answers", "budget",
            "client", "ollama", "openai_api"],
    "tools": ["workspace", "shell", "memory", "audit", "toolbox"],
    "people": ["loops", "peers", "addressing"],
    "questions": ["context", "prompt", "turns", "desk"],
}
ORDER = ["__init__", *(f"{room}.{name}" for room, names in ROOMS.items() for name in ["__init__", *names]),
         "status", "agent", "reload", "main", "__main__"]
# Came after 3.9, in modules that the bot uses.
_TOO_NEW = re.compile(r"\b(asyncio\.(timeout|TaskGroup|Runner)\b|anext\(|aiter\(|zip\([^)]*strict=|slots=True|kw_only=True|datetime\.UTC|"
                      r"sys\.exception\(|\.removeprefixes|itertools\.(pairwise|batched)|int\.bit_count|contextlib\.chdir|StrEnum|tomllib)")


def sources() -> Dict[str, str]:
    """By name, as in ORDER."""
    return {".".join(path.relative_to(BOT).with_suffix("").parts): path.read_text(encoding="utf-8")
            for path in sorted(pathlib.Path(BOT).rglob("*.py"))}


def imports(tree: ast.AST) -> Iterator["tuple[int, str]"]:
    """Level and module name of every import; names imported from a package itself count as modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level and node.module in (None, *ROOMS):
                for alias in node.names:
                    yield node.level, f"{node.module}.{alias.name}" if node.module else alias.name
            else:
                yield node.level, node.module or ""


class Source(unittest.TestCase):
    def test_every_file_is_python_3_9(self) -> None:
        for name, text in sources().items():
            ast.parse(text, name, feature_version=(3, 9))
            self.assertIsNone(_TOO_NEW.search(text), name)

    def test_annotations_are_not_evaluated(self) -> None:
        """A union written with a bar is fine in an annotation, but only where annotations stay text."""
        for name, text in sources().items():
            if not name.endswith(("__init__", "__main__")):
                self.assertIn("from __future__ import annotations", text, name)

    def test_only_the_standard_library_is_imported(self) -> None:
        allowed: Set[str] = set(getattr(sys, "stdlib_module_names", ()))
        if not allowed:
            self.skipTest("this Python does not name the modules of its standard library")
        for name, text in sources().items():
            for level, module in imports(ast.parse(text)):
                if level == 0:
                    self.assertIn(module.split(".")[0], allowed, name)

    def test_no_module_hides_one_of_the_standard_library(self) -> None:
        """The folder may be on the module path when it is run as a program."""
        for name in {part for name in sources() for part in name.split(".")}:
            self.assertNotIn(name, set(getattr(sys, "stdlib_module_names", ())) - {"__main__"})

    def test_imports_go_one_way(self) -> None:
        self.assertEqual(sorted(ORDER), sorted(sources()))
        for name, text in sources().items():
            for level, module in imports(ast.parse(text)):
                if level:
                    room = ".".join(name.split(".")[:-level] + [module])
                    imported = room if room in ORDER else "__init__"
                    self.assertLess(ORDER.index(imported), ORDER.index(name), f"{name} imports {module}")

    def test_every_module_says_what_it_is(self) -> None:
        for name, text in sources().items():
            self.assertTrue(ast.get_docstring(ast.parse(text)), name)

    def test_lines_are_short_enough_to_read(self) -> None:
        long: List[str] = [f"{name}:{number}" for name, text in sources().items()
                           for number, line in enumerate(text.splitlines(), 1) if len(line) > 130]
        self.assertEqual(long, [])

    def test_no_proxy_aware_library_is_used(self) -> None:
        for name, text in sources().items():
            self.assertNotIn("urllib.request", text, name)


class Denials(unittest.TestCase):
    def test_the_overseer_knows_the_same_refusals(self) -> None:
        source = pathlib.Path(BOT).parents[1] / "apps" / "overseer" / "irc" / "session.cpp"
        sets = [set(re.findall(r'"(\d{3})"', each)) for each in
                re.findall(r"bool refuses_(?:join|speech)\(.*?\{(.*?)\n\}", source.read_text(encoding="utf-8"), re.S)]
        self.assertEqual(sets, [set(JOIN_REFUSED), set(SPEECH_REFUSED) - set(JOIN_REFUSED)])


if __name__ == "__main__":
    unittest.main()
