#!/usr/bin/python3
"""Reads the public headers, which are the one description of each public struct and enum (name, members, defaults, what
they mean), and writes from it what other languages and formats have of them.

usage: describe.py INCLUDE cpp FILE                  Fields<T> and Enumerators<T>: visitors for JSON and for Python
       describe.py INCLUDE python FOLDER METHODS     the dataclasses and enums of fireclaw._types, a module a header

METHODS is a module with classes NAMEMethods, which the dataclasses NAME are made from. Prints the files that belong to the
answer, and writes those that have changed. A member that is not understood, or has no comment, is an error that names
header and line.
"""

from __future__ import annotations

import re
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

WIDTH = 120
INTEGERS = re.compile(r"(std::)?(u?int\d+_t|size_t)|unsigned|int")
CALLBACKS = {"OutputCallback", "ProgressCallback", "LogSink"}
PAIRS = "std::vector<std::pair<std::string, std::string>>"
TIME = "std::chrono::system_clock::time_point"
#: Structs that callers fill in; the library fills in all others.
GIVEN = re.compile(r"\w+(Options|Config|Settings|Root|Size)|\w*Kernel(File|Url|OfImage)?")
#: The least and the most of a number, behind its meaning or alone: "Virtual CPUs, 1–32."
RANGE = re.compile(r"(?:^|[,:] )(\d+)(?:–| to )(\d+)(?=[.,;])")
#: Those have views into what lives as long as a callback, or are taken apart by hand.
BY_HAND = {"Progress"}


@dataclass
class Member:
    name: str
    type: str
    default: str
    meaning: str

    @property
    def kind(self) -> str:
        """How a visitor is shown it."""
        meaning = self.meaning.lower()
        if self.type == "std::string" and "any bytes but" in meaning:
            return "file_name"
        if self.type == "std::string" and ("any bytes" in meaning or "on stdin" in meaning):
            return "bytes"
        if self.type == PAIRS:
            return "environment"
        if self.type == "std::optional<int>" and self.name.endswith("_fd"):
            return "descriptor"
        return ""

    @property
    def range(self) -> list[int]:
        """The least and the most; empty if the header does not say."""
        found = RANGE.search(self.meaning)
        if found is None or not INTEGERS.search(self.type):
            return []
        return [0 if re.search(r"\b0: ", self.meaning) else int(found[1]), int(found[2])]


@dataclass
class Struct:
    name: str
    meaning: str
    members: list[Member] = field(default_factory=list)


@dataclass
class Enum:
    name: str
    meaning: str
    values: list[str]
    snake: bool

    def text(self, value: str) -> str:
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_" if self.snake else "-", value).lower()


@dataclass
class Choice:
    name: str
    meaning: str
    types: list[str]


@dataclass
class Header:
    name: str
    meaning: str
    structs: list[Struct] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    #: Everything in the order of the header.
    all: list[Struct | Enum | Choice] = field(default_factory=list)


def fail(path: Path, line: int, problem: str) -> None:
    raise SystemExit(f"{path}:{line}: {problem}")


def joined(lines: list[str]) -> str:
    return " ".join(lines).strip()


class Reader:
    """One header, line by line: clang-format lays out all headers alike."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = path.read_text(encoding="utf-8").splitlines()
        self.at = 0
        self.header = Header(path.stem, "")

    def read(self) -> Header:
        comment: list[str] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if line.startswith("///"):
                comment.append(line[3:].strip())
            elif found := re.fullmatch(r"struct (\w+) \{(\};)?", line):
                self._add(self.header.structs, self._struct(found[1], joined(comment), bool(found[2])))
                comment = []
            elif found := re.match(r"enum class (\w+) \{", line):
                self._add(self.header.enums, self._enum(found[1], joined(comment)))
                comment = []
            elif line.startswith("using "):
                statement = self._until(";", line)
                if found := re.fullmatch(r"using (\w+) = std::variant<(.*)>;", statement):
                    self._add(self.header.choices, Choice(found[1], joined(comment), found[2].split(", ")))
                comment = []
            elif line:
                comment = []
        return self.header

    def _add(self, kind: list, item: Struct | Enum | Choice) -> None:
        kind.append(item)
        self.header.all.append(item)

    def _until(self, end: str, line: str) -> str:
        statement = line.strip()
        while not statement.endswith(end):
            if self.at == len(self.lines):
                fail(self.path, self.at, f"'{statement}' does not end")
            statement += " " + self.lines[self.at].strip()
            self.at += 1
        return statement

    def _enum(self, name: str, meaning: str) -> Enum:
        text = self.lines[self.at - 1].partition("{")[2]
        while "}" not in text:
            text += re.sub(r"//.*", "", self.lines[self.at])
            self.at += 1
        values = re.findall(r"\w+", text.partition("}")[0])
        snake = "snake_case" in "".join(self.lines[self.at : self.at + 3])
        return Enum(name, meaning, values, snake)

    def _struct(self, name: str, meaning: str, empty: bool) -> Struct:
        made = Struct(name, meaning)
        comment: list[str] = []
        while not empty:
            if self.at == len(self.lines):
                fail(self.path, self.at, f"struct {name} does not end")
            line = self.lines[self.at].strip()
            self.at += 1
            if line == "};":
                return made
            if line.startswith("///"):
                comment.append(line[3:].strip())
            elif line.startswith(("static ", "bool operator")):
                if line.endswith("{"):
                    while self.lines[self.at] != "  }":
                        self.at += 1
                    self.at += 1
                comment = []
            elif line:
                first = self.at
                found = re.fullmatch(r"([\w:<>, ]+?) (\w+)(?: = (.*)|\{(.*)\})?;", self._until(";", line))
                if found is None:
                    fail(self.path, first, f"'{line}' is not a member that {Path(__file__).name} understands")
                    break
                if not comment:
                    fail(self.path, first, f"{name}::{found[2]} has no comment that says what it means")
                made.members.append(Member(found[2], found[1], found[3] or found[4] or "", joined(comment)))
                comment = []
        return made


def read_headers(include: Path) -> list[Header]:
    return [Reader(path).read() for path in sorted((include / "fireclaw").glob("*.hpp"))]


def to_cpp(headers: list[Header]) -> str:
    out = ["#pragma once", "", "// Written by cmake/describe.py from the public headers.", "", "#include <algorithm>", "#include <array>",
           "#include <cstdint>", "#include <string_view>", "#include <utility>", ""]
    out += [f"#include <fireclaw/{header.name}.hpp>" for header in headers if header.structs or header.enums]
    enums = {enum.name: enum for header in headers for enum in header.enums}
    out += ["", "namespace fireclaw {", "", "struct MemberDescription {", "  std::string_view name;",
            "  /// In one sentence, for those who do not see the C++.", "  std::string_view meaning;",
            "  /// Of a number whose description says it; otherwise `most` is less.", "  std::int64_t least = 0;",
            "  std::int64_t most = -1;", "};", "",
            "/// `name`, `members`, and `visit(visitor, object)`, which shows the visitor all members.",
            "template <class T>", "struct Fields;", "/// `name`, and `values`: pairs of enumerator and text.",
            "template <class T>", "struct Enumerators;", ""]
    for header in headers:
        for enum in header.enums:
            values = ", ".join(f'std::pair{{{enum.name}::{value}, std::string_view{{"{enum.text(value)}"}}}}'
                               for value in enum.values)
            out += ["template <>", f"struct Enumerators<{enum.name}> {{",
                    f'  static constexpr const char* name = "{enum.name}";',
                    f"  static constexpr std::array values{{{values}}};", "};"]
        for struct in header.structs:
            if struct.name in BY_HAND:
                continue
            calls, members = [], []
            for member in struct.members:
                how = f".{member.kind}" if member.kind else ""
                calls.append(f'    field{how}("{member.name}", of.{member.name});')
                meaning = in_a_line(member.meaning, enums, given=GIVEN.fullmatch(struct.name) is not None)
                meaning = meaning.replace("\\", "\\\\").replace('"', '\\"')
                members.append(", ".join([f'    MemberDescription{{"{member.name}", "{meaning}"', *map(str, member.range)]) + "},")
            out += ["template <>", f"struct Fields<{struct.name}> {{",
                    f'  static constexpr const char* name = "{struct.name}";',
                    f"  static constexpr std::array<MemberDescription, {len(members)}> members{{", *members, "  };",
                    "  template <class Visitor, class Object>",
                    "  static void visit([[maybe_unused]] Visitor& field, [[maybe_unused]] Object& of) {", *calls, "  }", "};"]
    out += ["", "/// The description of a member; the name must be one of T's.", "template <class T>",
            "constexpr const MemberDescription& description_of(std::string_view member) {",
            "  return *std::ranges::find(Fields<T>::members, member, &MemberDescription::name);", "}"]
    return "\n".join([*out, "", "}  // namespace fireclaw", ""])


class PythonWriter:
    """Modules for fireclaw._types. `methods` is the text of the module with what is not data."""

    def __init__(self, headers: list[Header], methods: str) -> None:
        self.headers = headers
        self.module_of = {item.name: header.name for header in headers for item in header.all}
        self.enums = {enum.name: enum for header in headers for enum in header.enums}
        self.choices = {choice.name: choice for header in headers for choice in header.choices}
        self.with_methods = set(re.findall(r"^class (\w+)Methods\b", methods, re.MULTILINE))

    def type(self, cpp: str, given: bool) -> str:
        if found := re.fullmatch(r"std::optional<(.*)>", cpp):
            return f"Optional[{self.type(found[1], given)}]"
        if cpp == PAIRS:
            return "Mapping[str, str]" if given else "dict[str, str]"
        if found := re.fullmatch(r"std::vector<(.*)>", cpp):
            item = found[1]
            inside = ("StrPath" if given else "Path") if item == "std::filesystem::path" else self.type(item, given)
            return f"Sequence[{inside}]" if given else f"list[{inside}]"
        if cpp in ("std::string", "std::string_view"):
            return "str"
        if cpp == "bool":
            return "bool"
        if INTEGERS.fullmatch(cpp):
            return "int"
        if cpp == "std::filesystem::path":
            return "Optional[StrPath]" if given else "Optional[Path]"
        if re.fullmatch(r"std::chrono::(milli|nano)seconds", cpp):
            return "Seconds" if given else "float"
        if cpp == TIME:
            return "datetime"
        if cpp == "std::stop_token":
            return "Optional[StopSource]"
        if cpp in CALLBACKS:
            return f"Optional[{cpp}]"
        if cpp in self.enums:
            return f"Union[{cpp}, str]" if given else cpp
        if cpp in self.module_of:
            return cpp
        raise SystemExit(f"describe.py: no Python type for {cpp}")

    def default(self, member: Member) -> str:
        cpp, text = member.type, member.default.replace("'", "")
        text = "" if text == "{}" else text
        if found := re.fullmatch(r"(\w+)::(\w+)", text):
            return f"{found[1]}.{upper(found[2])}"
        if re.fullmatch(r"std::chrono::(milli|nano)seconds", cpp):
            return str(float(text or 0) / (1e3 if "milli" in cpp else 1e9))
        if found := re.fullmatch(r"std::u?\w+_t\{(\d+)\} << (\d+)", text):
            return f"{found[1]} << {found[2]}"
        if cpp == "std::vector<std::filesystem::path>" and text:
            items = ", ".join(re.findall(r'"[^"]*"', text))
            return f"field(default_factory=lambda: [Path(item) for item in ({items})])"
        if text in ("true", "false"):
            return text.capitalize()
        if text:
            return text
        if member.kind == "bytes":
            return 'b""'
        if cpp == PAIRS:
            return "field(default_factory=dict)"
        if cpp.startswith("std::vector"):
            return "field(default_factory=list)"
        if cpp in self.choices:
            return f"field(default_factory={self.choices[cpp].types[0]})"
        if cpp in self.module_of:
            return f"field(default_factory={cpp})"
        return {"std::string": '""', "bool": "False"}.get(cpp, "0" if INTEGERS.fullmatch(cpp) else "None")

    def member_type(self, member: Member, given: bool) -> str:
        if member.kind == "bytes":
            return "Union[bytes, str]" if given else "bytes"
        return "Optional[FileDescriptor]" if member.kind == "descriptor" else self.type(member.type, given)

    def struct(self, struct: Struct) -> list[str]:
        given = GIVEN.fullmatch(struct.name) is not None
        # What a test or a caller's own double may want to make without naming everything.
        defaults = given or struct.name in self.with_methods
        base = f"({struct.name}Methods)" if struct.name in self.with_methods else ""
        lines = ["@dataclass", f"class {struct.name}{base}:", *docstring(struct.meaning)]
        for member in struct.members:
            kind = self.member_type(member, given)
            unit = " In seconds." if kind in ("Seconds", "float", "Optional[Seconds]") else ""
            lines += comment(member.meaning + unit, none=kind.startswith("Optional"))
            lines.append(f"    {member.name}: {kind}" + (f" = {self.default(member)}" if defaults else ""))
        return lines

    def keywords(self, struct: Struct) -> list[str]:
        """What calls that run commands take beside the command, without callbacks and with them."""
        rest = [member for member in struct.members if member.name != "argv"]

        def made(name: str, base: str, meaning: str, callbacks: bool) -> list[str]:
            return [f"class {name}({base}, total=False):", *docstring(meaning),
                    *(f"    {member.name}: {self.member_type(member, True)}" for member in rest
                      if (member.type in CALLBACKS) == callbacks)]

        return [*made("StreamKeywords", "TypedDict", f"{struct.name} as keywords, for output that is iterated over.", False),
                "", "", *made("ExecKeywords", "StreamKeywords", f"{struct.name} as keywords.", True)]

    def enum(self, enum: Enum) -> list[str]:
        values = [f'    {upper(value)} = "{enum.text(value)}"' for value in enum.values]
        return [f"class {enum.name}(Text):", *docstring(enum.meaning), *values]

    def module(self, header: Header) -> str:
        body: list[str] = []
        names = [item.name for item in header.all]
        for item in header.all:
            if isinstance(item, Choice):
                body += comment(item.meaning, none=False, indent="")
                body += [f"{item.name} = Union[{', '.join(item.types)}]", "", ""]
            else:
                body += [*(self.enum(item) if isinstance(item, Enum) else self.struct(item)), "", ""]
            if item.name == "ExecOptions":
                body += [*self.keywords(item), "", ""]  # type: ignore[arg-type]
        text = "\n".join(body)
        return "\n".join([f'"""What {header.name}.hpp of C++ describes; written by cmake/describe.py."""', "",
                          "from __future__ import annotations", "", *self.imports(header, text), "",
                          f"__all__ = [{', '.join(repr(name) for name in sorted(names))}]".replace("'", '"'), "", "",
                          text.rstrip() + "\n"])

    def imports(self, header: Header, text: str) -> list[str]:
        text = re.sub(r'"""(.|\n)*?"""|#:.*', "", text)
        used = set(re.findall(r"\w+", text))

        def wanted(module: str, names: list[str]) -> list[str]:
            found = [name for name in names if name in used]
            return [f"from {module} import {', '.join(found)}"] if found else []

        lines = wanted("dataclasses", ["dataclass", "field"]) + wanted("datetime", ["datetime"])
        lines += wanted("pathlib", ["Path"])
        typing = ["Mapping", "Optional", "Sequence", "TypedDict", "Union"]
        lines += wanted("typing", (["TYPE_CHECKING"] if "StopSource" in used else []) + typing)
        if "StopSource" in used:
            lines[-1] = lines[-1].replace("import ", "import TYPE_CHECKING, ")
        lines += ["", *wanted(".common", ["FileDescriptor", *sorted(CALLBACKS), "Seconds", "StrPath", "Text"])]
        lines += wanted(".methods", sorted(f"{name}Methods" for name in self.with_methods))
        others = sorted({module for name, module in self.module_of.items() if name in used and module != header.name})
        for other in others:
            lines += wanted(f".{other}", sorted(name for name, module in self.module_of.items() if module == other))
        if "StopSource" in used:
            lines += ["", "if TYPE_CHECKING:", "    from .._fireclaw import StopSource"]
        return lines


def upper(value: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", value).upper()


def in_a_line(meaning: str, enums: dict[str, Enum], given: bool) -> str:
    """The first sentence, without ranges, which stand beside it, and words of C++."""
    text = re.split(r"(?<=\.) (?=[A-Z`])", meaning)[0]
    text = RANGE.sub("", text)
    text = re.sub(r"\b(\w+)::(\w+)", lambda found: enums[found[1]].text(found[2]) if found[1] in enums else found[2], text)
    text = re.sub(r"^\w+\(\)(, \w+\(\))*: ", "", text)
    if given:
        text = re.sub(r"\bempty: ", "left out: ", text)
    return text[:1].upper() + text[1:]


def in_python(text: str) -> str:
    return text.replace("::", ".").replace("\\", "\\\\")


def docstring(meaning: str) -> list[str]:
    lines = textwrap.wrap(in_python(meaning), WIDTH - 8)
    text = "\n    ".join(lines) + ("" if len(lines) == 1 else "\n    ")
    return [f'    """{text}"""', ""] if not text.endswith('"') else [f'    """{text} """', ""]


def comment(meaning: str, none: bool, indent: str = "    ") -> list[str]:
    text = in_python(meaning)
    if none:
        text = re.sub(r"\b(E|e)mpty\b", "None", text)
    return textwrap.wrap(text, WIDTH, initial_indent=f"{indent}#: ", subsequent_indent=f"{indent}#: ")


def write(path: Path, text: str) -> None:
    """Leaves a file that is right already as old as it is: what is made from it need not be made again."""
    if path.is_symlink():  # of a build folder in which the file was still a source
        path.unlink()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> int:
    arguments = sys.argv[1:]
    if [len(arguments), *arguments[1:2]] not in ([3, "cpp"], [4, "python"]):
        print(__doc__, file=sys.stderr)
        return 2
    headers, target = read_headers(Path(arguments[0])), Path(arguments[2])
    if arguments[1] == "cpp":
        texts = {target: to_cpp(headers)}
    else:
        writer = PythonWriter(headers, Path(arguments[3]).read_text(encoding="utf-8"))
        texts = {target / f"{header.name}.py": writer.module(header) for header in headers if header.all}
    for path, text in texts.items():
        write(path, text)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
