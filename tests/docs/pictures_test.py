#!/usr/bin/python3
"""The pictures of the pages are drawn from the casts beside them, and from nothing else."""

from __future__ import annotations

import sys
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import picture  # noqa: E402

HEADER = '{"version": 2, "width": 112, "height": 24, "title": "a < b"}\n'


class Pictures(unittest.TestCase):
    def test_each_is_what_its_cast_gives(self) -> None:
        casts = sorted((ROOT / "docs/pictures").glob("*.cast"))
        self.assertGreaterEqual(len(casts), 2)
        for cast in casts:
            with self.subTest(cast.name):
                drawn = picture.draw(cast.read_text(encoding="utf-8"))
                self.assertEqual(cast.with_suffix(".svg").read_text(encoding="utf-8"), drawn,
                                 f"draw it again: scripts/picture.py draw {cast} {cast.with_suffix('.svg')}")

    def test_a_line_is_there_once_it_is_whole(self) -> None:
        self.assertEqual(picture.lines_of([(0.0, "$ "), (0.5, "ls\r\n"), (1.0, "a\nb"), (2.0, "c\n")]),
                         [(0.5, "$ ls"), (1.0, "a"), (2.0, "bc")])

    def test_a_long_line_continues_in_the_next_and_escapes_are_left_out(self) -> None:
        lines = picture.lines_of([(1.0, "\x1b[1m" + "x" * 120 + "\n")])
        self.assertEqual([len(line) for _, line in lines], [picture.COLUMNS, 120 - picture.COLUMNS])

    def test_long_waits_are_shortened(self) -> None:
        self.assertEqual([at for at, _ in picture.shortened([(1.0, "a"), (61.0, "b"), (62.0, "c")])], [1.0, 4.0, 5.0])

    def test_what_is_said_cannot_leave_its_place(self) -> None:
        tree = ElementTree.fromstring(picture.draw(HEADER + '[0.5, "o", "</text><script>\\"&\\n"]\n'))
        names = {element.tag.rpartition("}")[2] for element in tree.iter()}
        self.assertEqual(names, {"svg", "title", "rect", "g", "text", "tspan", "animate"})
        self.assertIn('</text><script>"&', "".join(tree.itertext()))


if __name__ == "__main__":
    unittest.main()
