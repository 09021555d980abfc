"""The fields that templates and config.json may have for the bot stand in
libfireclaw/state/settings/bot_fields.cpp. The bot and the manual are held to them: the same names, the same bounds,
the same defaults."""

from __future__ import annotations

import copy
import dataclasses
import re
import unittest
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import harness  # noqa: F401 - finds the bot

from bot.base import config

ROOT = Path(__file__).resolve().parents[2]
MANUAL = ROOT / "apps/manual/fireclaw-config.5.in"
SOURCE = ROOT / "libfireclaw/state/settings/bot_fields.cpp"

#: Function that checks a section: where the bot has the section, and the class that holds it there.
SECTIONS: Dict[str, Tuple[str, type]] = {
    "check_irc": ("server", config.Server),
    "check_llm": ("llm", config.Llm),
    "check_tools": ("tools", config.Tools),
    "check_containers": ("tools.containers", config.Containers),
    "check_peers": ("peers", config.Peers),
    "check_limits": ("limits", config.Limits),
}
#: What fireclaw fills in itself.
NOT_OF_THE_FILE = {"llm.model"}
LEAST: Dict[str, Any] = {"nick": "ada", "server": {"host": "irc.example.org"},
                         "llm": {"url": "http://llm.example.org", "model": "m"}}


def number(text: str) -> float:
    found = re.fullmatch(r"1 << (\d+)", text)
    return float(1 << int(found[1])) if found else float(text)


class Bounds:
    """Least and most of a numeric field, and whether it has to be whole."""

    def __init__(self, low: str, high: str, whole: bool) -> None:
        self.low, self.high, self.whole = number(low), number(high), whole


class Table:
    """bot_fields.cpp, as far as it is a table: the fields of each section with their bounds."""

    def __init__(self, text: str) -> None:
        self.named = {
            "check_seconds": self._bounds(text, r"check_seconds\(const json::Value& value\) \{ (.*?); \}"),
            "check_count": self._bounds(text, r"check_count\(const json::Value& value\) \{ (.*?); \}"),
        }
        self.sections = {name: self._fields(self._body(text, name)) for name in SECTIONS}
        timeouts = re.search(r'\{"timeouts",(.*?)\n *\}\}', text, re.DOTALL)
        assert timeouts is not None
        self.timeouts = self._fields(timeouts[1])

    def _bounds(self, text: str, pattern: str) -> Bounds:
        found = re.search(pattern, text)
        assert found is not None, pattern
        bounds = self._bounds_of(found[1])
        assert bounds is not None
        return bounds

    @staticmethod
    def _bounds_of(check: str) -> Optional[Bounds]:
        found = re.search(r"check_whole<([^,]+), ([^>]+)>", check)
        if found:
            return Bounds(found[1], found[2], True)
        found = re.search(r"check_range\(\w+, ([^,]+), ([^)]+)\)", check)
        return Bounds(found[1], found[2], False) if found else None

    @staticmethod
    def _body(text: str, function: str) -> str:
        start = re.search(rf"^void {function}\(const json::Value& value\) \{{\n", text, re.MULTILINE)
        assert start is not None, function
        return text[start.end() : text.index("\n}\n", start.end())]

    def _fields(self, body: str) -> Dict[str, Optional[Bounds]]:
        fields: Dict[str, Optional[Bounds]] = {}
        for found in re.finditer(r'\{"(\w+)",\s*(.*?)(?=\{"\w+",\s*(?:\[|check)|\Z)', body, re.DOTALL):
            check = found[2]
            named = next((bounds for name, bounds in self.named.items() if check.startswith(name)), None)
            fields[found[1]] = named or (None if "check_object" in check else self._bounds_of(check))
        if "timeouts" in fields:
            # Its own fields follow it.
            fields = {name: bounds for name, bounds in fields.items() if not name.endswith("_s") or name == "timeouts"}
        return fields


def with_value(path: str, value: Any) -> Dict[str, Any]:
    made: Dict[str, Any] = copy.deepcopy(LEAST)
    place = made
    *outer, last = path.split(".")
    for step in outer:
        place = place.setdefault(step, {})
    place[last] = value
    return made


class Fields(unittest.TestCase):
    table: Table

    @classmethod
    def setUpClass(cls) -> None:
        cls.table = Table(SOURCE.read_text(encoding="utf-8"))

    def all(self) -> List[Tuple[str, str, Optional[Bounds], type]]:
        """Path in the bot's configuration, name, bounds, and the class that has it."""
        found = [(f"{SECTIONS[function][0]}.{name}", name, bounds, SECTIONS[function][1])
                 for function, fields in self.table.sections.items() for name, bounds in fields.items()]
        return found + [(f"llm.timeouts.{name}", name, bounds, config.Timeouts)
                        for name, bounds in self.table.timeouts.items()]

    def test_the_table_is_understood(self) -> None:
        limits = self.table.sections["check_limits"]
        self.assertEqual(len(limits), 18)
        self.assertEqual((limits["queue"].low, limits["queue"].high), (1, 1 << 20))  # type: ignore[union-attr]
        self.assertEqual(self.table.sections["check_tools"]["timeout_s"].high, 3600)  # type: ignore[union-attr]
        self.assertEqual(list(self.table.timeouts), ["connect_s", "first_token_s", "idle_s", "total_s"])
        self.assertEqual(list(self.table.sections["check_irc"])[-1], "sasl")

    def test_the_bot_has_the_same_fields_and_no_others(self) -> None:
        for function, (section, kind) in SECTIONS.items():
            with self.subTest(section):
                ours = [field.name for field in dataclasses.fields(kind) if f"{section}.{field.name}" not in NOT_OF_THE_FILE]
                self.assertEqual(sorted(ours), sorted(self.table.sections[function]))
        self.assertEqual([field.name for field in dataclasses.fields(config.Timeouts)], list(self.table.timeouts))

    def test_the_bot_has_the_same_bounds(self) -> None:
        tried = 0
        for path, name, bounds, _ in self.all():
            if bounds is None:
                continue
            step = 1 if bounds.whole else 0.001
            kind = int if bounds.whole else float
            for value, fits in ((bounds.low, True), (bounds.high, True), (bounds.low - step, False), (bounds.high + step, False)):
                with self.subTest(path, value=value):
                    tried += 1
                    if fits:
                        config.parse(with_value(path, kind(value)))
                    else:
                        with self.assertRaisesRegex(config.ConfigError, rf"^{re.escape(path)}: must be"):
                            config.parse(with_value(path, kind(value)))
        self.assertGreater(tried, 4 * 30)

    def test_the_manual_names_every_field(self) -> None:
        words = set(re.findall(r"\\fB(\w+)\\fR", MANUAL.read_text(encoding="utf-8")))
        self.assertEqual([path for path, name, _, _ in self.all() if name not in words], [])

    def test_the_defaults_that_the_manual_shows_are_the_bots(self) -> None:
        text = MANUAL.read_text(encoding="utf-8").replace("\n", " ")
        shown = 0
        for path, name, bounds, kind in self.all():
            default = next((field.default for field in dataclasses.fields(kind) if field.name == name), None)
            if bounds is None or not isinstance(default, (int, float)):
                continue
            values = re.findall(rf"\\fB{name}\\fR[^(\\]*\(([^()]*?)([0-9.]+)\)", text)
            with self.subTest(path):
                # One name can stand in two sections.
                self.assertTrue(not values or float(default) in [float(value) for _, value in values], values)
            shown += bool(values)
        self.assertGreater(shown, 25)


if __name__ == "__main__":
    unittest.main()
