#!/usr/bin/python3
"""Writes what help() shows of the Python module's methods, and their parameters, for the bindings: names and defaults are
those of the stub, texts those of the stub or else of the public headers.

usage: describe_methods.py INCLUDE STUB FILE

A method that has no text is an error that names it.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from pathlib import Path

from describe import read_headers, upper, write

WIDTH = 100


def comments(include: Path) -> dict[str, str]:
    """What the headers say of CLASS.METHOD; of overloads, the first."""
    found: dict[str, str] = {}
    for path in sorted((include / "fireclaw").glob("*.hpp")):
        owner, comment, inside = "", [], False
        for line in path.read_text(encoding="utf-8").splitlines():
            text = line.strip()
            if made := re.match(r"class FIRECLAW_API (\w+)", line):
                owner = made[1]
            elif text.startswith("///"):
                comment.append(text[3:].strip())
                continue
            elif not inside and (method := re.search(r"(\w+)\(", text)) and comment:
                found.setdefault(f"{owner}.{method[1]}", " ".join(comment))
            comment, inside = [], bool(text) and not text.endswith((";", "{", "}", ":"))
    return found


def in_help(comment: str, enums: set[str]) -> str:
    """In Python's words."""
    text = re.sub(r"\b(\w+)::(\w+)", lambda found: found[0] if found[1] not in enums else f"{found[1]}.{upper(found[2])}", comment)
    text = re.sub(r"Error\((\w+)\)", r"\1Error", text).replace("::", ".").replace("nullopt", "None")
    text = re.sub(r" \(\w+\.hpp\)", "", text)
    text = re.sub(r"a descriptor \(it \w+ be a pipe\)", "an open file or pipe (through its descriptor: flush it before)", text)
    return "\n".join(textwrap.wrap(re.sub(r"descriptor (`\w+`)", r"open file \1", text), WIDTH))


def in_cpp(default: object) -> str:
    return "py::none()" if default is None else json.dumps(default)


def method(name: str, node: ast.FunctionDef | ast.AsyncFunctionDef, text: str) -> list[str]:
    static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)
    names = [one.arg for one in node.args.args if one.arg != "self"]
    defaults = [ast.literal_eval(one) for one in node.args.defaults]
    given = dict(zip(names[len(names) - len(defaults):], defaults))
    shown = [f"{one}={given[one]!r}" if one in given else one for one in names]
    shown = [*([] if static else ["$self"]), *shown, *([f"**{node.args.kwarg.arg}"] if node.args.kwarg else [])]
    text = json.dumps(f"{name}({', '.join(shown)})\n--\n\n{text}", ensure_ascii=False)
    parameters = [f'py::arg("{one}")' + (f" = {in_cpp(given[one])}" if one in given else "") for one in names]
    return [f"inline auto {name}() {{", f"  return method({', '.join([json.dumps(name), text, *parameters])});", "}"]


def main() -> int:
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    said = comments(Path(sys.argv[1]))
    enums = {enum.name for header in read_headers(Path(sys.argv[1])) for enum in header.enums}
    out = ["#pragma once", "", "// Written by cmake/describe_methods.py from _fireclaw.pyi and the public headers.", "",
           '#include "method.hpp"', ""]
    for kind in ast.parse(Path(sys.argv[2]).read_text(encoding="utf-8")).body:
        if not isinstance(kind, ast.ClassDef):
            continue
        out.append(f"namespace fireclaw::python::methods::{kind.name} {{")
        for node in kind.body:
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
                continue
            if any(isinstance(one, ast.Name) and one.id == "property" for one in node.decorator_list):
                continue
            own, header = ast.get_docstring(node), said.get(f"{kind.name}.{node.name}")
            if own is None and header is None:
                raise SystemExit(f"{sys.argv[2]}:{node.lineno}: {kind.name}.{node.name} has a text neither here nor in a header")
            out += method(node.name, node, inspect.cleandoc(own) if own is not None else in_help(header or "", enums))
        out += [f"}}  // namespace fireclaw::python::methods::{kind.name}", ""]
    write(Path(sys.argv[3]), "\n".join(out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
