"""Whatever the C++ headers offer, the Python package has under the same name, or it is said here why not."""

from __future__ import annotations

import dataclasses
import enum
import os
import re
import unittest
from pathlib import Path

import fireclaw

HEADERS = sorted(Path(os.environ["FIRECLAW_INCLUDE"]).glob("fireclaw/*.hpp"))

#: C++ name: its name in Python.
RENAMED = {
    "Error": "FireclawError",
    "Error::what": "__str__",
    "Error::contexts": "context",
    "Error::cause": "__cause__",
    "AgentWatch::fd": "fileno",  # What select() and asyncio look for.
}

#: C++ name: why there is nothing of the kind.
ABSENT = {
    "Error::add_context": "Python's errors are made by the library, not on their way through the caller's code",
    "Gateway::serve": "what the program is that the network starts; it has descriptors from there",
    "to_string": "an enum's str() is its text",
    "engine_from_string": "an enum's text will do wherever an enum does",
    "network_mode_from_string": "likewise",
    "egress_from_string": "likewise",
    "gateway_services_from_string": "likewise",
    "restart_policy_from_string": "likewise",
}


def without_comments(text: str) -> str:
    return re.sub(r"//.*|/\*.*?\*/|#.*", "", text)


def body(text: str, start: int) -> str:
    """What is between the brace at `start` and the one that closes it."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start + 1 : position]
    raise AssertionError("a brace is not closed")


def statements(text: str) -> list[str]:
    """What is said at the outermost level: bodies of functions and initializers are left out."""
    while "{" in text:
        text = re.sub(r"(\)|const|noexcept|override)\s*\{[^{}]*\}", r"\1;", text)
        text = re.sub(r"\{[^{}]*\}", "", text)
    return [" ".join(statement.split()) for statement in text.split(";") if statement.strip()]


class Headers:
    """Names that the headers declare, found by the way they are written here."""

    def __init__(self) -> None:
        self.classes: dict[str, list[str]] = {}
        self.structs: dict[str, list[str]] = {}
        self.enums: dict[str, list[str]] = {}
        self.functions: set[str] = set()
        for header in HEADERS:
            self._read(without_comments(header.read_text()))

    def _read(self, text: str) -> None:
        for match in re.finditer(r"^(class FIRECLAW_API|class|struct|enum class) (\w+)[^;{]*(\{)", text, re.MULTILINE):
            kind, name, inside = match.group(1), match.group(2), body(text, match.start(3))
            if kind == "enum class":
                self.enums[name] = re.findall(r"(\w+)\s*(?:,|$)", inside.strip())
            elif kind == "struct":
                self.structs[name] = [field for field in map(self._field, statements(inside)) if field]
            else:
                public = inside.partition("public:")[2].partition("private:")[0]
                self.classes[name] = [method for method in map(self._function, statements(public))
                                      if method and method != name]
        # Functions of the namespace begin their line with the macro, or are inline.
        self.functions |= set(re.findall(r"^(?:FIRECLAW_API|inline) .*?(\w+)\(", text, re.MULTILINE))

    @staticmethod
    def _function(statement: str) -> str:
        match = re.search(r"(?<![~\w])(\w+) ?\(", statement)
        return "" if match is None or "operator" in statement or "~" in statement else match.group(1)

    @staticmethod
    def _field(statement: str) -> str:
        declaration = statement.partition(" =")[0]
        return "" if "(" in declaration or " operator" in declaration else declaration.split()[-1]


class Counterparts(unittest.TestCase):
    headers: Headers

    @classmethod
    def setUpClass(cls) -> None:
        cls.headers = Headers()

    def test_the_headers_are_understood(self) -> None:
        self.assertIn("copy_out", self.headers.classes["VM"])
        self.assertIn("follow_logs", self.headers.classes["Agent"])
        self.assertEqual(self.headers.structs["WindowSize"], ["rows", "columns"])
        self.assertIn("backoff_longest", self.headers.structs["ServiceOptions"])
        self.assertIn("version", self.headers.functions)
        self.assertEqual(self.headers.enums["Egress"], ["None", "Allowlist", "Internet"])

    def test_classes_and_their_members_are_there(self) -> None:
        missing = []
        for name, methods in self.headers.classes.items():
            counterpart = getattr(fireclaw, RENAMED.get(name, name), None)
            for method in methods:
                full = f"{name}::{method}"
                if full not in ABSENT and not hasattr(counterpart, RENAMED.get(full, method)):
                    missing.append(full)
        self.assertEqual(missing, [])

    def test_structs_have_the_same_fields_in_the_same_order(self) -> None:
        for name, fields in self.headers.structs.items():
            with self.subTest(name):
                made = [field.name for field in dataclasses.fields(getattr(fireclaw, name))]
                self.assertEqual(made, fields)

    def test_enums_have_the_same_values(self) -> None:
        for name, values in self.headers.enums.items():
            kind = getattr(fireclaw, name)
            self.assertTrue(issubclass(kind, enum.Enum))
            self.assertEqual([value.name.replace("_", "") for value in kind], [value.upper() for value in values], name)

    def test_functions_are_there(self) -> None:
        self.assertEqual([name for name in sorted(self.headers.functions - set(ABSENT)) if not hasattr(fireclaw, name)], [])

    def test_what_is_excepted_is_still_there_to_be_excepted(self) -> None:
        members = {f"{name}::{method}" for name, methods in self.headers.classes.items() for method in methods}
        self.assertEqual((set(RENAMED) | set(ABSENT)) - members - self.headers.functions - set(self.headers.classes), set())


if __name__ == "__main__":
    unittest.main()
