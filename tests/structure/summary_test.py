#!/usr/bin/python3
"""What decides whether a run of the tests counts as passed must itself be right."""

from __future__ import annotations

import sys
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
import summary  # noqa: E402

PASSED = '<testcase name="{}" status="run"/>'
FAILED = '<testcase name="{}" status="fail"><failure message=""/></testcase>'
SKIPPED = ('<testcase name="{}" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>'
           "<system-out>some\nskipped: no such kernel\n\n</system-out></testcase>")
NOT_STARTED = '<testcase name="{}" status="notrun"><skipped message="Unable to find executable"/></testcase>'


def suite(cases: tuple[str, ...], names: str) -> xml.Element:
    return xml.fromstring("<testsuite>" + "".join(map(str.format, cases, names)) + "</testsuite>")


def summarize(*cases: str, required: tuple[str, ...] = (), again: xml.Element | None = None) -> tuple[list[str], bool]:
    """Cases are named a, b, c, ...; a is of label unit, all others of label vm."""
    names = "abcdefgh"
    labels = {name: ["unit" if name == "a" else "vm"] for name in names}
    return summary.summarize(suite(cases, names), labels, list(required), again)


class SummaryTest(unittest.TestCase):
    def test_all_passed_is_well(self) -> None:
        lines, well = summarize(PASSED, PASSED, required=("unit", "vm"))
        self.assertTrue(well)
        self.assertEqual(lines[-1], "2 passed, 0 failed, 0 skipped")

    def test_one_failure_is_not(self) -> None:
        lines, well = summarize(PASSED, FAILED)
        self.assertFalse(well)
        self.assertEqual(lines[-1], "1 passed, 1 failed, 0 skipped")

    def test_a_program_that_is_not_there_has_failed(self) -> None:
        lines, well = summarize(PASSED, NOT_STARTED)
        self.assertFalse(well)
        self.assertEqual(lines[-1], "1 passed, 1 failed, 0 skipped")

    def test_what_was_skipped_is_listed_with_its_reason(self) -> None:
        lines, well = summarize(PASSED, PASSED, SKIPPED, required=("unit", "vm"))
        self.assertTrue(well)
        self.assertIn("skipped c: skipped: no such kernel", lines)

    def test_a_required_label_that_was_skipped_as_a_whole_is_not_well(self) -> None:
        lines, well = summarize(PASSED, SKIPPED, required=("unit", "vm"))
        self.assertFalse(well)
        self.assertIn("no test of the required label 'vm' ran", lines)

    def test_what_passed_when_it_ran_again_is_well_and_named(self) -> None:
        lines, well = summarize(PASSED, FAILED, required=("unit", "vm"), again=suite((PASSED,), "b"))
        self.assertTrue(well)
        self.assertEqual(lines[-1], "2 passed, 0 failed, 0 skipped")
        self.assertIn("unsteady b: it failed, and passed when it ran again alone", lines)

    def test_what_failed_again_or_did_not_run_again_has_failed(self) -> None:
        for again in (suite((FAILED,), "b"), suite((SKIPPED,), "b"), suite((PASSED,), "a"), suite((), "")):
            lines, well = summarize(PASSED, FAILED, again=again)
            self.assertFalse(well)
            self.assertEqual(lines[-1], "1 passed, 1 failed, 0 skipped")

    def test_no_tests_at_all_are_not_well(self) -> None:
        self.assertFalse(summarize()[1])
        self.assertFalse(summarize(PASSED, required=("unit", "contract"))[1])


if __name__ == "__main__":
    unittest.main()
