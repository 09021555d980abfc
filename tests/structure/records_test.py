#!/usr/bin/python3
"""Records on disk and messages to guests say their members once, in describe() and layout(): none is forgotten there."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DESCRIBED = re.compile(r"^void (?:describe|layout)\(auto& field, (?:json::)?Is<([\w:]+)> auto& (\w+)\) \{(.*?)\}$", re.DOTALL | re.MULTILINE)
STRUCT = re.compile(r"^( *)struct (\w+) \{\n(.*?)^\1\};$", re.DOTALL | re.MULTILINE)
MEMBER = re.compile(r"^[\w:<>, ]+? (\w+)(?: = [^;]*|\{[^;]*\})?;(?: *///<.*)?$")


def members(body: str, indent: str) -> list[str]:
    """Of a struct, those of structs inside it aside."""
    own = STRUCT.sub("", body)
    lines = [line.strip() for line in own.splitlines() if line.startswith(indent + "  ") and line[len(indent) + 2] not in " /}"]
    found = [MEMBER.match(line) for line in lines if not line.startswith(("static ", "using ", "bool operator", "explicit "))]
    return [match[1] for match in found if match]


def missing(text: str, structs: dict[str, list[str]]) -> list[str]:
    """What is not written of the structs that are described in `text`."""
    return [f"{name}::{member}" for name, variable, body in DESCRIBED.findall(text)
            for member in structs.get(name) or structs[name.rpartition("::")[2]] if not re.search(rf"\b{variable}\.{member}\b", body)]


def structs_in(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for indent, name, body in STRUCT.findall(text):
        found[name] = members(body, indent)
        found.update({f"{name}::{inner}": fields for inner, fields in structs_in(body).items()})
    return found


class Records(unittest.TestCase):
    def test_every_member_is_written_and_read(self) -> None:
        sources = {path: path.read_text() for folder in ("include", "libfireclaw") for path in (ROOT / folder).rglob("*.?pp")
                   if not path.name.endswith("_test.cpp")}
        everywhere: dict[str, list[str]] = {}
        for text in sources.values():
            everywhere.update(structs_in(text))
        described = 0
        for path, text in sources.items():
            with self.subTest(path.relative_to(ROOT).as_posix()):
                self.assertEqual(missing(text, {**everywhere, **structs_in(text)}), [])
            described += len(DESCRIBED.findall(text))
        self.assertGreater(described, 40)

    def test_a_member_that_is_forgotten_is_seen(self) -> None:
        text = """
struct Pear {
  static constexpr unsigned schema = 1;
  /// What it is called.
  std::string name;
  std::uint64_t weight = 0;  ///< in grams
  std::optional<unsigned> seeds;
};

void describe(auto& field, json::Is<Pear> auto& pear) {
  field("name", pear.name);
  field("seeds", pear.seeds);
}
"""
        self.assertEqual(missing(text, structs_in(text)), ["Pear::weight"])


if __name__ == "__main__":
    unittest.main()
