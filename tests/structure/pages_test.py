#!/usr/bin/python3
"""Feeds the checker of pages small bad trees and expects exactly the findings that each deserves."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import pages

GLOSSARY = """# Glossary

| word | what it is | not |
| --- | --- | --- |
| pause | stop the CPUs | freeze, stand still |
| engine | what runs machines | hypervisor |

| write | for | not |
| --- | --- | --- |
| not a | what is something else | is no |
"""


class PagesTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "tree"
        self.root.mkdir()

    def expect(self, files: dict[str, str], *expected: tuple[str, int, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        found = pages.Checker(self.root).run()
        self.assertEqual([(f.path, f.line, f.rule) for f in found], sorted(expected), "\n".join(map(str, found)))

    def test_pages_that_keep_the_rules_have_no_findings(self) -> None:
        self.expect({
            "README.md": "# Front\n\nSee [run](docs/run.md#what-to-run), [the site](https://example.org) and [below](#front).\n",
            "docs/README.md": "# Pages\n\n[run](run.md) [words](glossary.md)\n",
            "docs/glossary.md": GLOSSARY,
            "docs/run.md": "# Run\n\n## What to `run`\n\nThere is no device. It is no longer here.\n\n"
                           "```sh run\necho hi\n```\n\n```output\nhi\n```\n\n```sh not run: needs root\nfreeze\n```\n\n"
                           "```cpp from examples/a.cpp\nint x;\n```\n\n```json\n\"a\": 1\n```\n",
            "examples/a.cpp": "void f() {\n  int x;\n}\n",
            "apps/a/main.cpp": 'auto x = "There is no such file";  // we freeze nothing\n',
        })

    def test_a_link_must_lead_to_a_file_of_the_tree(self) -> None:
        self.expect({"README.md": "[a](docs/none.md)\n[b](../outside.md)\n[c](LICENSE)\n", "LICENSE": "x"},
                    ("README.md", 1, "link"), ("README.md", 2, "link"))

    def test_a_link_must_lead_to_a_heading_that_is_there(self) -> None:
        self.expect({"README.md": "# One\n[a](#one)\n[b](#two)\n[c](docs/x.md#x--y)\n[d](docs/x.md#z)\n",
                     "docs/x.md": "# X & Y\n"},
                    ("README.md", 3, "link"), ("README.md", 5, "link"))

    def test_the_second_heading_of_a_name_has_a_number(self) -> None:
        self.expect({"README.md": "# A\n# A\n[a](#a-1)\n[b](#a-2)\n"}, ("README.md", 4, "link"))

    def test_a_heading_in_a_block_is_not_one(self) -> None:
        self.expect({"README.md": "```sh\n# not a heading\n```\n[a](#not-a-heading)\n"}, ("README.md", 4, "link"))

    def test_lines_have_a_limit_that_tables_and_blocks_need_not_keep(self) -> None:
        long = "word " * 30
        self.expect({"HACKING.md": f"{long}\n| {long} |\n    {long}\n```\n{long}\n```\n" + "x" * 200 + "\n"},
                    ("HACKING.md", 1, "line"))

    def test_a_block_must_be_closed(self) -> None:
        self.expect({"README.md": "text\n```sh\necho\n"}, ("README.md", 2, "fence"))

    def test_commands_say_whether_they_are_run_or_why_not(self) -> None:
        self.expect({"docs/a.md": "```sh\nls\n```\n```sh run\nls\n```\n```sh not run:\nls\n```\n```python\nx\n```\n"},
                    ("docs/a.md", 2, "block"), ("docs/a.md", 8, "block"), ("docs/a.md", 11, "block"))

    def test_an_output_needs_a_block_that_is_run(self) -> None:
        self.expect({"docs/a.md": "```sh not run: slow\nls\n```\n```output\nx\n```\n"}, ("docs/a.md", 5, "block"))

    def test_an_excerpt_must_be_what_the_file_says(self) -> None:
        self.expect({"docs/a.md": "```cpp from a.cpp\nint x;\n```\n```cpp from a.cpp\nint y;\n```\n```cpp from b.cpp\n```\n"
                                  "```cpp\nint z;\n```\n",
                     "a.cpp": "  int x;\n"},
                    ("docs/a.md", 5, "block"), ("docs/a.md", 8, "block"), ("docs/a.md", 10, "block"))

    def test_json_must_be_json_or_the_fields_of_an_object(self) -> None:
        self.expect({"README.md": '```json\n{"a": [1]}\n```\n```json\n"a": {"b": 1}\n```\n```json\n"a": ,\n```\n'},
                    ("README.md", 8, "json"))

    def test_refused_words_are_found_in_pages_across_lines_and_whatever_their_case(self) -> None:
        self.expect({"docs/glossary.md": GLOSSARY,
                     "docs/a.md": "Freeze it.\nIt has to stand\nstill. `freeze` is code.\nA tap is no bridge.\n"},
                    ("docs/a.md", 1, "word"), ("docs/a.md", 2, "word"), ("docs/a.md", 4, "word"))

    def test_refused_words_are_found_in_what_programs_say(self) -> None:
        self.expect({"docs/glossary.md": GLOSSARY,
                     "apps/a/main.cpp": '// a hypervisor\nauto a = "Freeze it";\nauto b = "it is "\n         "no tap";\n',
                     "apps/a/main_test.cpp": 'auto a = "Freeze it";\n',
                     "libfireclaw/x.cpp": 'auto a = "Freeze it";\n',
                     "include/fireclaw/x.hpp": "/// It has to stand\n/// still.\n",
                     "examples/x.cpp": 'auto a = "Freeze it";\n'},
                    ("apps/a/main.cpp", 2, "word"), ("apps/a/main.cpp", 3, "word"), ("libfireclaw/x.cpp", 1, "word"),
                    ("include/fireclaw/x.hpp", 1, "word"))

    def test_refused_words_are_found_in_pages_at_the_top_but_not_in_what_is_past(self) -> None:
        self.expect({"docs/glossary.md": GLOSSARY, "SECURITY.md": "# S\n\nFreeze it.\n", "CHANGELOG.md": "Freeze it.\n"},
                    ("SECURITY.md", 3, "word"))

    def test_comments_of_public_headers_begin_with_a_noun_or_a_verb(self) -> None:
        self.expect({"include/fireclaw/x.hpp": "/// Who asks.\nint a;\n/// The person\n/// Who asks, or offers.\nint b;\n"
                                               "/// Offers.\nint c;\n  /// Of a machine.\n  int d;\n",
                     "libfireclaw/x.hpp": "/// Who asks.\nint a;\n"},
                    ("include/fireclaw/x.hpp", 1, "comment"), ("include/fireclaw/x.hpp", 8, "comment"))

    def test_errors_are_what_some_source_says(self) -> None:
        self.expect({"docs/a.md": "| error | what fixes it |\n| --- | --- |\n| `no image named 'x'; see ...` | a |\n"
                                  "| `no picture named 'x'` | b |\n\n| what you see |\n| --- |\n| `no picture` |\n",
                     "libfireclaw/a.cpp": 'fmt::format("no image named \'{}\'; "\n            "see: list", name);\n'},
                    ("docs/a.md", 4, "error"))

    def test_every_page_is_in_the_index(self) -> None:
        self.expect({"docs/README.md": "[a](a.md)\n", "docs/a.md": "# A\n", "docs/b.md": "# B\n"}, ("docs/b.md", 1, "index"))

    def test_the_glossary_of_this_tree_refuses_words(self) -> None:
        root = Path(__file__).resolve().parents[2]
        words = pages.Checker(root).refused
        self.assertIn("anew", words)
        self.assertIn("hypervisor", words)
        self.assertGreater(len(words), 40)


if __name__ == "__main__":
    unittest.main()
