#!/usr/bin/python3
"""The public headers are the one description of the public structs: a member that is added there is found everywhere."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DESCRIBE = ROOT / "cmake/describe.py"
TYPES = ROOT / "bindings/python/fireclaw/_types"

SAMPLE = """#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace fireclaw {

/// How ripe a pear is.
enum class Ripeness { Green, NearlyRipe };

/// A pear,
/// as it was seen.
struct PearInfo {
  /// What it is called.
  std::string name;
  /// How ripe it is.
  Ripeness ripeness = Ripeness::Green;
  /// Where it lies; empty: nowhere.
  std::filesystem::path file;
  /// How long it was looked at.
  std::chrono::milliseconds seen{0};
};

/// How to pick pears.
struct PickConfig {
  /// How many, 1 to 9.
  unsigned count = 3;
};

}  // namespace fireclaw
"""
NEW_MEMBER = "  /// What it weighs, in grams.\n  std::uint64_t weight_g = 7;\n"

PROGRAM = """
#include <fireclaw/pear.hpp>
#include "common/json_of.hpp"
int main() {
  const fireclaw::PearInfo pear{"Alice", fireclaw::Ripeness::NearlyRipe, "/tree", std::chrono::seconds{2}@MORE@};
  std::puts(fireclaw::cli::to_json(pear).dump().c_str());
}
"""

MCP_PROGRAM = """
#include <cstdio>
#include <fireclaw/pear.hpp>
#include "members.hpp"
int main() {
  constexpr auto offered = fireclaw::mcp::arguments_of<fireclaw::PickConfig>({"count", @OFFERED@}, {@WITHHELD@});
  fireclaw::PickConfig pick;
  offered.read({{"count", 4}, {"basket", "red"}, {"longest_seconds", 1.5}, {"ladder", true}}, pick);
  std::puts((offered.schemas().dump() + std::to_string(pick.count) + pick.basket).c_str());
}
"""
PICK_MEMBERS = """  /// What they go to; empty: your hand. It is not emptied.
  std::string basket;
  /// PickConfig::count pears must be there by then.
  std::optional<std::chrono::milliseconds> longest;
  /// Whether it may climb.
  bool ladder = false;
"""


class Description(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-describe-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.header = self.folder / "include/fireclaw/pear.hpp"
        self.header.parent.mkdir(parents=True)

    def describe(self, *arguments: str, code: int = 0) -> str:
        run = subprocess.run([sys.executable, str(DESCRIBE), str(self.folder / "include"), *arguments], text=True,
                             capture_output=True, check=False)
        self.assertEqual(run.returncode, code, run.stderr)
        return run.stdout if code == 0 else run.stderr

    def in_python(self, package: str) -> object:
        """The module that the header becomes, beside the package's own hand-written ones."""
        types = self.folder / package
        types.mkdir()
        (types / "__init__.py").write_text("")
        (types / "common.py").write_text((TYPES / "common.py").read_text())
        (types / "methods.py").write_text("")
        self.describe("python", str(types), str(types / "methods.py"))
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        return importlib.import_module(f"{package}.pear")

    def compile(self, text: str, *others: Path) -> subprocess.CompletedProcess[str]:
        self.describe("cpp", str(self.folder / "described/fireclaw/fields.hpp"))
        source = self.folder / "pear.cpp"
        source.write_text(text)
        includes = [self.folder / "include", self.folder / "described", ROOT / "include", ROOT / "apps", ROOT / "apps/mcp",
                    ROOT / "libfireclaw"]
        return subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", "-Wall", "-Wextra", "-Werror",
                               *(f"-I{folder}" for folder in includes), "-o", str(self.folder / "pear"), str(source), *others],
                              capture_output=True, text=True, timeout=240, check=False)

    def printed(self, text: str, *others: Path) -> str:
        """What the program prints."""
        compiled = self.compile(text, *others)
        self.assertEqual(compiled.returncode, 0, compiled.stderr)
        return subprocess.run([str(self.folder / "pear")], capture_output=True, text=True, check=True).stdout.strip()

    def test_a_member_that_is_added_to_a_struct_is_found_in_json_and_in_python(self) -> None:
        self.header.write_text(SAMPLE)
        before = self.in_python("before")
        fields = list(before.PearInfo.__dataclass_fields__)  # type: ignore[attr-defined]
        self.assertEqual(fields, ["name", "ripeness", "file", "seen"])
        self.assertEqual(before.PickConfig().count, 3)  # type: ignore[attr-defined]

        self.header.write_text(SAMPLE.replace("};\n\n/// How to pick", NEW_MEMBER + "};\n\n/// How to pick"))
        after = self.in_python("after")
        self.assertEqual(list(after.PearInfo.__dataclass_fields__), [*fields, "weight_g"])  # type: ignore[attr-defined]
        self.assertEqual(after.PearInfo.__annotations__["weight_g"], "int")  # type: ignore[attr-defined]
        text = (self.folder / "after/pear.py").read_text()
        self.assertIn("    #: What it weighs, in grams.\n    weight_g: int", text)
        self.assertEqual(self.printed(PROGRAM.replace("@MORE@", ", 250")),  # as --json does
                         '{"name":"Alice","ripeness":"nearly-ripe","file":"/tree","seen_ms":2000,"weight_g":250}')

    def test_members_that_are_offered_to_mcp_clients_have_their_type_range_and_meaning(self) -> None:
        self.header.write_text(SAMPLE.replace("  unsigned count = 3;\n", "  unsigned count = 3;\n" + PICK_MEMBERS))
        schema_pieces = ROOT / "apps/mcp/schema.cpp"
        program = MCP_PROGRAM.replace("@OFFERED@", '"basket", "longest"')
        printed = self.printed(program.replace("@WITHHELD@", '"ladder"'), schema_pieces)
        schemas, end = json.JSONDecoder().raw_decode(printed)
        self.assertEqual(schemas, {
            "count": {"type": "integer", "description": "How many.", "minimum": 1, "maximum": 9},
            "basket": {"type": "string", "description": "What they go to; left out: your hand."},
            "longest_seconds": {"type": "number", "description": "Count pears must be there by then. In seconds."}})
        self.assertEqual(printed[end:], "4red")
        # A member that nobody has placed does not compile.
        self.assertIn("offered or withheld", self.compile(program.replace("@WITHHELD@", ""), schema_pieces).stderr)

    def test_types_defaults_and_meanings_are_pythons(self) -> None:
        self.header.write_text(SAMPLE)
        pear = self.in_python("as_python")
        kinds = pear.PearInfo.__annotations__  # type: ignore[attr-defined]
        self.assertEqual(kinds, {"name": "str", "ripeness": "Ripeness", "file": "Optional[Path]", "seen": "float"})
        self.assertEqual(pear.PearInfo.__doc__, "A pear, as it was seen.")  # type: ignore[attr-defined]
        text = (self.folder / "as_python/pear.py").read_text()
        self.assertIn("#: Where it lies; None: nowhere.\n", text)
        self.assertIn("#: How long it was looked at. In seconds.\n", text)
        self.assertEqual([str(value) for value in pear.Ripeness], ["green", "nearly-ripe"])  # type: ignore[attr-defined]
        self.assertEqual([value.name for value in pear.Ripeness], ["GREEN", "NEARLY_RIPE"])  # type: ignore[attr-defined]

    def test_texts_that_can_be_any_bytes_are_not_decoded_as_text(self) -> None:
        for meaning, call in (("Its label; any bytes but NUL.", "field.file_name"), ("Any bytes but NUL.", "field.file_name"),
                              ("Any bytes.", "field.bytes"), ("What it is called.", "field")):
            with self.subTest(meaning=meaning):
                self.header.write_text(SAMPLE.replace("What it is called.", meaning))
                self.describe("cpp", str(self.folder / "out.hpp"))
                self.assertIn(f'{call}("name", of.name);', (self.folder / "out.hpp").read_text())

    def test_a_member_without_a_comment_is_refused_with_its_place(self) -> None:
        self.header.write_text(SAMPLE.replace("  /// How many, 1 to 9.\n", ""))
        self.assertRegex(self.describe("cpp", str(self.folder / "out.hpp"), code=1),
                         r"pear\.hpp:\d+: PickConfig::count has no comment that says what it means")

    def test_a_member_that_is_not_understood_is_refused_with_its_place(self) -> None:
        self.header.write_text(SAMPLE.replace("unsigned count = 3;", "unsigned count() const;"))
        self.assertRegex(self.describe("cpp", str(self.folder / "out.hpp"), code=1),
                         r"pear\.hpp:31: 'unsigned count\(\) const;' is not a member")

    def test_a_file_that_is_right_is_left_as_it_is(self) -> None:
        self.header.write_text(SAMPLE)
        target = self.folder / "out.hpp"
        self.describe("cpp", str(target))
        os.utime(target, (1, 1))
        self.describe("cpp", str(target))
        self.assertEqual(target.stat().st_mtime, 1)

    def test_every_public_struct_is_described(self) -> None:
        include = ROOT / "include"
        text = subprocess.run([sys.executable, str(DESCRIBE), str(include), "cpp", str(self.folder / "all.hpp")],
                              capture_output=True, text=True, check=True) and (self.folder / "all.hpp").read_text()
        headers = "".join(path.read_text() for path in include.rglob("*.hpp"))
        structs = set(re.findall(r"^struct (\w+) \{", headers, re.MULTILINE))
        enums = set(re.findall(r"^enum class (\w+) \{", headers, re.MULTILINE))
        self.assertEqual(set(re.findall(r"struct Fields<(\w+)>", text)), structs - {"Progress"})
        self.assertEqual(set(re.findall(r"struct Enumerators<(\w+)>", text)), enums)
        self.assertGreater(len(structs), 40)


if __name__ == "__main__":
    unittest.main()
