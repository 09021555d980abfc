"""Tool calls that a model wrote as text, because its server did not know its format.

Only a text that is nothing but calls is one: what a model quotes in an answer is never run.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .arguments import LONGEST_PYTHON, joins_strings, literal

# The tools that there are, by name: the kinds of their parameters, as JSON Schema names them.
Known = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Written:
    """One call: its name, and its arguments as they stood there (an object, or text)."""

    name: str
    arguments: Any


_WORD = r"[A-Za-z_][\w.-]{0,63}"
# Marks that calls stand between. A text that begins with one is meant for no reader.
_MARK = re.compile(
    r"</?(?:[a-z]{1,12}[:_])?(?:tool_?calls?|function_?calls?|tool_code)(?:\s+id=[^<>]*)?>"
    r"|<\|?/?(?:tool_?calls?|function_calls?)(?:_section)?(?:_begin|_end|_start)?\|>|<\|tool_call>"
    r"|<\|(?:start_action|end_action|python_(?:tag|start|end)|tools_(?:prefix|suffix)|e(?:om|ot)(?:_id)?|im_end|action_start"
    r"|action_end|plugin|call)\|>"
    r"|<[|｜]tool[▁_](?:calls?|sep)[▁_]?(?:begin|end)?[|｜]>|\[/?(?:TOOL_CALLS?|TOOL_REQUEST|END_TOOL_REQUEST)\]"
    r"|<\|tool_call:(?:begin\|>\w{0,64}<\|tool_call:name|end)\|>|✿FUNCTION✿:?", re.I)
# Marks that can also be part of an answer: what they stand around is a call only if it names what is known.
_WEAK_MARK = re.compile(r"</?(?:tools?|tool_use)>|functools(?=\[)|Action:(?=\s*(?:```json\s*)?[\[{])"
                        rf"|>>>(?=\s*{_WORD}\s*\{{)", re.I)
# What goes before an action where a model was taught to think in lines of text. Only at the beginning: searched for, a
# lot of such lines would be read once a line.
_REASONED = re.compile(r"(?:(?:Thought|Plan|Reflection):[^\n]*\n+)+(?=Action:)", re.I)
_ACTION = re.compile(rf"Action:[ \t]*({_WORD})[ \t]*\n\s*Action Input:[ \t]*", re.I)
_OBSERVED = re.compile(r"\s*Observation:", re.I)
# What a model made up as the output of its own call.
_MADE_UP = re.compile(r"<\|?tool_(?:response|output|result)s?\|?>|✿(?:RESULT|RETURN)✿", re.I)
_ELEMENT = re.compile(rf'<(?:\w{{1,12}}:)?(?:function=({_WORD})>'
                      rf'|(?:invoke|function|tool_call|function_call)\s+name=["\']({_WORD})["\']\s*>)')
_TAG = re.compile(rf"\s*<({_WORD})>")
_ELEMENT_END = re.compile(r"</(?:\w{1,12}:)?(?:function|invoke|tool_call|function_call)>")
# What stands between tags ends at the next tag of its kind, so that text without ends is read once and no more.
_PARAMETER = re.compile(rf'<(?:\w{{1,12}}:)?parameter(?:=|\s+name=["\'])({_WORD})["\']?[^<>]*>'
                        r'((?:[^<]|<(?!/?(?:\w{1,12}:)?parameter[\s=>]))*)'
                        # Some models forget its end where the next one begins, or the call ends.
                        r'(?:</(?:\w{1,12}:)?parameter>|(?=<(?:\w{1,12}:)?parameter[\s=])|\Z)')
_GLM = re.compile(r"\s*<arg_key>([^<]*)</arg_key>\s*<arg_value>((?:[^<]|<(?!/?arg_(?:key|value)>))*)</arg_value>")
# Only one part takes the space at each place, so that a lot of it is read once and no more.
_NAMED = re.compile(rf"(?:functions?\.)?({_WORD})(?::\d+)?\s*(?:\[CALL_ID\]\w+\s*)?"
                    r"(?:(?:\[ARGS\]|<\|tool_call(?:_argument_begin|:args)\|>|<[|｜]tool▁sep[|｜]>|✿ARGS✿:?)\s*)?"
                    r"(?=\{|```json\s*\{)")
# The name and the arguments as elements of their own.
_CHILDREN = re.compile(rf"<(?:function_|tool_)?name>\s*({_WORD})\s*</(?:function_|tool_)?name>\s*"
                       r"<(arguments|parameters|args|input)>\s*(?=\{)")
_DEEPSEEK = re.compile(r"function(?:<[|｜]tool[▁_]sep[|｜]>)")
# Gemma's own notation: keys without quotes, texts between marks.
_GEMMA = re.compile(rf"call:({_WORD})(?=\{{)")
_GEMMA_TEXT = re.compile(r'(<\|"\|>|<escape>)(.*?)\1|([{,]\s*)([A-Za-z_]\w*)(?=\s*:)', re.S)
_FENCE = re.compile(r"(```|~~~)([\w+-]*)")
_NAMES = ("recipient_name", "name", "tool", "tool_name", "function_name", "function", "action")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input", "action_input", "function_args", "kwargs", "params")
_BETWEEN = re.compile(r"[\s,;]+|```(?:json)?(?=[\s<]|$)")
# Only between marks: a fence of Python is part of an answer, also where its end was cut off.
_BETWEEN_MARKS = re.compile(r"```python(?=[\s<]|$)")
_CALL_LANGUAGES = ("tool_code", "tool_call", "tool_calls")
# What models put before a tool's name in Python.
_NAMESPACES = ("default_api", "functions", "tools")
_BESIDE = {"id", "type", "index", "call_id", "tool_call_id", "thoughts", "thought"}


def written_calls(text: str, known: Known) -> Optional[List[Written]]:
    """The calls that the text is; None for text that is something else. Bare JSON is a call only if it names what is
    known. Marks around unknown or unreadable calls make them calls too: they are not for people, and the model has
    to be told."""
    text = text.replace("｜DSML｜", "").strip()
    reasoned = _REASONED.match(text)
    text = text[reasoned.end() :] if reasoned is not None else text
    fence = _FENCE.match(text)
    language = ""
    if fence is not None and not text[fence.end() :].endswith(fence.group(1)):
        fence = None
    if fence is not None and "```" not in text[fence.end() : -3]:
        language, text = fence.group(2).lower(), text[fence.end() : -3].strip()
    marked = _MARK.match(text) is not None or _ELEMENT.match(text) is not None
    if fence is not None and not marked and not text.startswith(("{", "[")) and language not in _CALL_LANGUAGES:
        return None
    positional = marked or language in _CALL_LANGUAGES
    calls = _Reader(text, known, marked, positional).read()
    if calls is None and marked:
        # Within a call that could not be read as it stands, what was made up begins at its mark.
        text = _MADE_UP.split(text, maxsplit=1)[0]
        calls = _Reader(text, known, marked, positional).read()
    if calls is None:
        if not marked:
            return None
        name = re.search(rf'(?:"name"\s*:\s*"|<function=|name=")({_WORD})', text)
        # Text after the last mark makes it an answer that shows a call.
        return None if _prose_after(text) else [Written(name.group(1) if name else "unreadable", text)]
    if not calls or (not marked and any(call.name not in known for call in calls)):
        return None
    return calls


def _prose_after(text: str) -> bool:
    ends = [match.end() for match in _MARK.finditer(text)] + [match.end() for match in _ELEMENT_END.finditer(text)]
    rest = text[max(ends) :].strip() if len(ends) > 1 else ""
    return bool(rest) and rest[0] not in "{[<"


class _Reader:
    def __init__(self, text: str, known: Known, marked: bool, positional: bool) -> None:
        self._text = text
        self._known = known
        self._marked = marked
        # Whether Python's arguments count without their names: a line of code in an answer looks the same.
        self._positional = positional
        self._at = 0

    def read(self) -> Optional[List[Written]]:
        """The calls one after the other; None if something else stands between them."""
        calls: List[Written] = []
        while True:
            self._skip()
            if self._at >= len(self._text) or (calls and self._marked and _MADE_UP.match(self._text, self._at)):
                return calls
            found = self._json() or self._element() or self._children() or self._tagged() or self._named() or self._action() \
                or self._glm() or self._gemma() or self._python()
            if found is None:
                return None
            calls += found

    def _skip(self) -> None:
        while self._at < len(self._text):
            mark = _MARK.match(self._text, self._at) or _WEAK_MARK.match(self._text, self._at) \
                or _DEEPSEEK.match(self._text, self._at) or _BETWEEN.match(self._text, self._at) \
                or (_BETWEEN_MARKS.match(self._text, self._at) if self._marked else None)
            if mark is None:
                return
            self._at = mark.end()

    def _value(self) -> Tuple[bool, Any]:
        try:
            value, self._at = json.JSONDecoder(strict=False).raw_decode(self._text, self._at)
            return True, value
        except (ValueError, RecursionError):
            return self._literal()

    def _literal(self) -> Tuple[bool, Any]:
        rest = (_MARK.split(self._text[self._at :], maxsplit=1) if self._marked else [self._text[self._at :]])[0]
        value = literal(rest) if rest.rstrip().endswith(("}", "]")) else None
        if not isinstance(value, (dict, list)):
            return False, None
        self._at += len(rest)
        return True, value

    def _object(self, start: int) -> Optional[Dict[str, Any]]:
        """The object that begins there; None, and nothing is taken, if none does."""
        before, self._at = self._at, start
        fine, value = self._value()
        if fine and isinstance(value, dict):
            return value
        self._at = before
        return None

    def _json(self) -> Optional[List[Written]]:
        start = self._at
        if self._text[start] not in "{[":
            return None
        fine, value = self._value()
        calls = self._from_value(value) if fine else None
        if calls is None:
            self._at = start
        return calls

    def _from_value(self, value: Any) -> Optional[List[Written]]:
        if isinstance(value, list):
            parts = [self._from_value(item) for item in value]
            return None if not parts or any(part is None for part in parts) else [call for part in parts if part for call in part]
        if not isinstance(value, dict):
            return None
        for name in ("tool_calls", "tool_uses", "calls", "function_call", "tool_call"):
            if name in value and set(value) <= {name, "content", "role"} and isinstance(value[name], (dict, list)):
                return self._from_value(value[name])
        inner = value.get("function")
        if isinstance(inner, dict) and set(value) <= {"function"} | _BESIDE:
            return self._from_value(inner)
        names = [name for name in _NAMES if isinstance(value.get(name), str)]
        if names:
            rest = set(value) - {names[0]} - _BESIDE
            if len(rest) > 1 or not rest <= set(_ARGUMENTS):
                return None
            arguments = value[rest.pop()] if rest else {}
            return [Written(value[names[0]].rpartition("functions.")[2], arguments)]
        if len(value) == 1 and isinstance(next(iter(value.values())), dict) and next(iter(value)) in self._known:
            return [Written(next(iter(value)), next(iter(value.values())))]
        return None

    def _element(self) -> Optional[List[Written]]:
        start = _ELEMENT.match(self._text, self._at)
        if start is None:
            return None
        end = _ELEMENT_END.search(self._text, start.end())
        body = self._text[start.end() : end.start() if end else len(self._text)]
        called = start.group(1) or start.group(2)
        kinds = self._known.get(called, {})
        given = {name: _plain(value, kinds.get(name, "")) for name, value in _PARAMETER.findall(body)}
        self._at = end.end() if end else len(self._text)
        # What has lost its end can have lost more; the model is told of what is not an object.
        arguments: Any = given if given and end else body.strip() if not given else body
        return [Written(called, arguments)]

    def _children(self) -> Optional[List[Written]]:
        before = self._at
        found = _CHILDREN.match(self._text, self._at) if self._marked else None
        given = self._object(found.end()) if found is not None else None
        if found is None or given is None:
            return None
        end = re.compile(rf"\s*</{found.group(2)}>").match(self._text, self._at)
        if end is None:
            self._at = before
            return None
        self._at = end.end()
        return [Written(found.group(1), given)]

    def _tagged(self) -> Optional[List[Written]]:
        """The name as a tag around tags that are the arguments' names."""
        start = _TAG.match(self._text, self._at)
        kinds = self._known.get(start.group(1)) if start else None
        if start is None or kinds is None:
            return None
        given: Dict[str, Any] = {}
        at = start.end()
        while True:
            argument = _TAG.match(self._text, at)
            if argument is None or argument.group(1) not in kinds:
                break
            end = self._text.find(f"</{argument.group(1)}>", argument.end())
            if end < 0:
                return None
            given[argument.group(1)] = _plain(self._text[argument.end() : end], kinds[argument.group(1)])
            at = end + len(argument.group(1)) + 3
        end_tag = re.compile(rf"\s*</{re.escape(start.group(1))}>").match(self._text, at)
        if end_tag is None:
            return None
        self._at = end_tag.end()
        return [Written(start.group(1), given)]

    def _action(self) -> Optional[List[Written]]:
        """The name and its input on a line each, and perhaps what the model made up as the output."""
        found = _ACTION.match(self._text, self._at)
        given = self._object(found.end()) if found is not None else None
        if found is None or given is None:
            return None
        if _OBSERVED.match(self._text, self._at):
            self._at = len(self._text)
        return [Written(found.group(1), given)]

    def _named(self) -> Optional[List[Written]]:
        """A name and then an object."""
        found = _NAMED.match(self._text, self._at)
        if found is None or not (self._marked or found.group(1) in self._known):
            return None
        given = self._object(self._text.index("{", found.end()))
        return None if given is None else [Written(found.group(1), given)]

    def _glm(self) -> Optional[List[Written]]:
        found = re.compile(rf"({_WORD})\s*(?=<arg_key>)").match(self._text, self._at) if self._marked else None
        if found is None:
            return None
        given: Dict[str, Any] = {}
        self._at = found.end()
        while True:
            pair = _GLM.match(self._text, self._at)
            if pair is None:
                return [Written(found.group(1), given)]
            name = pair.group(1).strip()
            given[name] = _plain(pair.group(2), self._known.get(found.group(1), {}).get(name, ""))
            self._at = pair.end()

    def _gemma(self) -> Optional[List[Written]]:
        found = _GEMMA.match(self._text, self._at) if self._marked else None
        if found is None:
            return None

        def quoted(match: "re.Match[str]") -> str:
            return json.dumps(match.group(2)) if match.group(1) is not None else f'{match.group(3)}"{match.group(4)}"'

        rest = _MARK.split(self._text[found.end() :], maxsplit=1)[0]
        self._at = found.end() + len(rest)
        # What cannot be read is said to the model.
        return [Written(found.group(1), _GEMMA_TEXT.sub(quoted, rest))]

    def _python(self) -> Optional[List[Written]]:
        """Calls as Python writes them: [run_command(command="ls")], or one a line."""
        rest = _MARK.split(self._text[self._at :], maxsplit=1)[0]
        rest = rest.rpartition("```")[0] if rest.rstrip().endswith("\n```") else rest
        if len(rest) > LONGEST_PYTHON or not re.match(rf"\[?\s*{_WORD}\(", rest):
            return None
        try:
            lines = ast.parse(rest.strip()).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        if joins_strings(rest.strip()):
            return None
        calls: List[Written] = []
        for line in lines:
            if not isinstance(line, ast.Expr):
                return None
            listed = isinstance(line.value, ast.List)
            for node in line.value.elts if isinstance(line.value, (ast.List, ast.Tuple)) else [line.value]:
                call = self._python_call(node, self._positional or listed)
                if call is None:
                    return None
                calls.append(call)
        self._at += len(rest)
        return calls or None

    def _python_call(self, node: ast.AST, positional: bool) -> Optional[Written]:
        if not isinstance(node, ast.Call):
            return None
        function, name = node.func, ""
        if isinstance(function, ast.Name):
            name = function.id
            if name == "print" and len(node.args) == 1 and not node.keywords:
                return self._python_call(node.args[0], positional)
        elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            # Llama writes run_command.call(…), Gemma default_api.run_command(…).
            if function.attr == "call":
                name = function.value.id
            elif function.value.id in _NAMESPACES:
                name = function.attr
        kinds = self._known.get(name)
        if kinds is None or len(node.args) > len(kinds):
            return None
        try:
            values = [ast.literal_eval(item) for item in node.args]
            given = {item.arg: ast.literal_eval(item.value) for item in node.keywords if item.arg}
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return None
        if len(values) == 1 and isinstance(values[0], dict):
            return Written(name, {**values[0], **given})
        if values and not positional:
            return None
        return Written(name, {**dict(zip(kinds, values)), **given})


def _plain(text: str, kind: str) -> Any:
    """An argument that stands between tags, as what the tool takes."""
    # Models put a line break after the opening tag and before the closing one.
    text = re.sub(r"\A\n|\n\Z", "", text)
    if kind and kind != "string":
        try:
            return json.loads(text.strip().lower() if kind == "boolean" else text)
        except (ValueError, RecursionError):
            pass
    return text
