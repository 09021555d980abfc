#!/usr/bin/python3
"""Sums up a run of ctest: a table by label, what was skipped and why, and one closing line.

usage: summary.py BUILD-FOLDER JUNIT-FILE AGAIN-FILE [REQUIRED-LABEL...]

Fails if a test failed, if none ran, or if of a required label none ran. AGAIN-FILE holds what came of the failed ones
when they ran once more, alone; it need not exist. A test that passed then counts as passed, and is named.
"""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as xml
from collections import Counter, defaultdict
from pathlib import Path

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def labels_by_test(build: str) -> dict[str, list[str]]:
    listing = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], capture_output=True, check=True)
    found: dict[str, list[str]] = {}
    for test in json.loads(listing.stdout)["tests"]:
        properties = {p["name"]: p["value"] for p in test.get("properties", [])}
        found[test["name"]] = properties.get("LABELS", ["(none)"])
    return found


def outcome(case: xml.Element) -> str:
    skipped = case.find("skipped")
    if skipped is not None:
        # ctest also says "skipped" of a program that could not be started.
        return SKIPPED if skipped.get("message", "").startswith("SKIP_") else FAILED
    return PASSED if case.get("status") == "run" else FAILED


def last_line(case: xml.Element) -> str:
    lines = [line.strip() for line in (case.findtext("system-out") or "").splitlines() if line.strip()]
    return lines[-1] if lines else "gave no reason"


def summarize(results: xml.Element, labels: dict[str, list[str]], required: list[str],
              again: xml.Element | None = None) -> tuple[list[str], bool]:
    """The lines to print, and whether all is well."""
    by_label: dict[str, Counter[str]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    skipped = []
    unsteady = []
    second = {case.get("name"): outcome(case) for case in again.iter("testcase")} if again is not None else {}
    for case in results.iter("testcase"):
        name = case.get("name", "")
        result = outcome(case)
        if result == FAILED and second.get(name) == PASSED:
            result = PASSED
            unsteady.append(f"unsteady {name}: it failed, and passed when it ran again alone")
        total[result] += 1
        for label in labels.get(name, ["(none)"]):
            by_label[label][result] += 1
        if result == SKIPPED:
            skipped.append(f"skipped {name}: {last_line(case)}")

    lines = [f"{'label':<12}{PASSED:>8}{FAILED:>8}{SKIPPED:>9}"]
    for label in sorted(by_label):
        count = by_label[label]
        lines.append(f"{label:<12}{count[PASSED]:>8}{count[FAILED]:>8}{count[SKIPPED]:>9}")
    lines += sorted(skipped) + sorted(unsteady)
    absent = [label for label in required if by_label[label][PASSED] + by_label[label][FAILED] == 0]
    lines += [f"no test of the required label '{label}' ran" for label in absent]
    lines.append(f"{total[PASSED]} passed, {total[FAILED]} failed, {total[SKIPPED]} skipped")
    return lines, not absent and not total[FAILED] and bool(total[PASSED])


def main() -> int:
    build, results, again, *required = sys.argv[1:]
    second = xml.parse(again).getroot() if Path(again).exists() else None
    lines, well = summarize(xml.parse(results).getroot(), labels_by_test(build), required, second)
    print("\n".join(lines))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
