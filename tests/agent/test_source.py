"""The bot's source: only the standard library, nothing newer than Python 3.9, one direction of imports."""

import ast
import os
import re
import sys
import unittest
from typing import Dict, Iterator, List, Set

from harness import BOT

# Lowest first: a module may import only modules that stand before it.
ORDER = [
    "__init__", "text", "cancel", "files", "pacing", "irc_protocol", "config", "events", "denials", "lookups", "outbox",
    "registration", "history", "session", "link", "refusals", "transport", "conversation", "values", "thoughts",
    "written_calls", "answers", "budget", "llm", "ollama", "openai_api", "workspace", "shell", "memory", "audit", "tools",
    "context", "loops", "peers", "addressing", "prompt", "turns", "desk", "status", "agent", "reload", "logs", "main",
    "__main__",
]
# Came after 3.9, in modules that the bot uses.
_TOO_NEW = re.compile(r"\b(asyncio\.(timeout|TaskGroup|Runner)\b|anext\(|aiter\(|zip\([^)]*strict=|slots=True|kw_only=True|datetime\.UTC|"
                      r"sys\.exception\(|\.removeprefixes|itertools\.(pairwise|batched)|int\.bit_count|contextlib\.chdir|StrEnum|tomllib)")


def sources() -> Dict[str, str]:
    found = {}
    for name in sorted(os.listdir(BOT)):
        if name.endswith(".py"):
            with open(os.path.join(BOT, name), encoding="utf-8") as file:
                found[name[:-3]] = file.read()
    return found


def imports(tree: ast.AST) -> Iterator["tuple[int, str]"]:
    """Level and module name of every import; names imported from the package itself count as modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level and not node.module:
                for alias in node.names:
                    yield node.level, alias.name
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
            if name not in ("__init__", "__main__"):
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
        for name in sources():
            self.assertNotIn(name, set(getattr(sys, "stdlib_module_names", ())) - {"__main__"})

    def test_imports_go_one_way(self) -> None:
        self.assertEqual(sorted(ORDER), sorted(sources()))
        for name, text in sources().items():
            for level, module in imports(ast.parse(text)):
                if level:
                    imported = module if module in ORDER else "__init__"
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


if __name__ == "__main__":
    unittest.main()
