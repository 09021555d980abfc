"""Examples that start agents or ask a language model: real machines, a real IRC server, a model that follows a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "agents"))

import crew  # noqa: E402
import ngircd  # noqa: E402
from crew import HOME, Crew, agents, is_gone  # noqa: E402

SOURCE = Path(os.environ["FIRECLAW_EXAMPLES"])
BUILT = Path(os.environ["FIRECLAW_BUILT_EXAMPLES"])
ENVIRONMENT = {**os.environ, "FIRECLAW_HOME": HOME}

PLOT = """
import csv
rows = list(csv.DictReader(open("/data/sales.csv")))
best = max(rows, key=lambda row: int(row["{column}"]))
with open("/out/bars.svg", "w") as svg:
    bars = "".join(f'<rect x="{{20 * n}}" width="18" height="{{row["units"]}}"/>' for n, row in enumerate(rows))
    svg.write(f'<svg xmlns="http://www.w3.org/2000/svg">{{bars}}</svg>')
import os
os.symlink("/etc/passwd", "/out/trap.txt")
print("the best month was", best["month"])
"""


def run(*command: "str | Path", **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(word) for word in command], env=ENVIRONMENT, capture_output=True, text=True, timeout=240,
                          check=False, **more)


def python(name: str, *arguments: "str | Path") -> "subprocess.CompletedProcess[str]":
    return run(sys.executable, SOURCE / "python" / name, *arguments)


class StartAgent(Crew):
    def start_program(self, template: Path) -> "subprocess.Popen[str]":
        self.addCleanup((Path(HOME) / "templates" / template.name).unlink)
        program = subprocess.Popen([BUILT / "start_agent", template], env=ENVIRONMENT, text=True, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(program.kill)
        return program

    def test_the_program_starts_an_agent_from_a_file_shows_what_it_does_and_stops_it(self) -> None:
        alice = self.human()
        with self.start_program(SOURCE / "cpp" / "gardener.json") as program:
            assert program.stdout
            self.assertRegex(program.stdout.readline(), r"^gardener runs qwen2\.5:7b in machine [0-9a-f]{16}, on IRC$")
            alice.say("#agents", "gardener: what grows in shade?")
            self.assertEqual(alice.hears("gardener", "#agents", "", 60), "alice: Hello!")
            self.assertIn("forty years", self.system_prompt(self.llm.requests[-1]))
            pid = agents()["gardener"]["engine_pid"]
            said, problems = program.communicate("\n", timeout=60)
        self.assertEqual((program.returncode, problems), (0, ""))
        self.assertIn("joined #agents\n", said)
        self.assertIn("gardener is stopped. What it wants to remember:\n# Agent Memory", said)
        self.assertTrue(is_gone(pid))
        alice.expect("gardener!.* QUIT ")

    def test_the_program_notices_that_its_agent_ended(self) -> None:
        # Under another name: on IRC this one is not known to be dead for a while.
        kind = json.loads((SOURCE / "cpp" / "gardener.json").read_text())
        file = Path(self.folder) / "doomed.json"
        file.write_text(json.dumps({**kind, "nick": "doomed"}))
        with self.start_program(file) as program:
            assert program.stdout and program.stderr
            program.stdout.readline()
            os.kill(agents()["doomed"]["engine_pid"], signal.SIGKILL)
            self.assertEqual(program.wait(60), 1)
            self.assertEqual(program.stderr.read(), "doomed ended by itself\n")
        self.assertEqual(agents()["doomed"]["state"], "crashed")


class AgentCrew(Crew):
    def test_three_agents_answer_the_same_task_and_are_stopped(self) -> None:
        self.llm.rules({"when": {"text": "tea or coffee"}, "reply": {"content": "Tea.\nIt is not coffee."}})
        done = python("agent_crew.py", "--names", "ann,ben,cleo", "--seconds", "120", "tea or coffee?")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        for name in ("ann", "ben", "cleo"):
            self.assertRegex(done.stdout, rf"(?m)^{name} \[phi4-mini\] started in \d+\.\d s$")
            self.assertRegex(done.stdout, rf"(?m)^{name}: Tea\.\n +It is not coffee\.$")
        self.assertEqual({agent["state"] for agent in agents().values()}, {"stopped"})

    def test_a_crew_that_cannot_be_started_in_full_is_stopped(self) -> None:
        done = python("agent_crew.py", "--names", "ann,no one", "--seconds", "1", "tea or coffee?")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot be an agent's name", done.stderr)
        self.assertEqual([agent["name"] for agent in agents().values() if agent["vm"]], [])


class DataAnalysis(Crew):
    def analyse(self, *replies: str) -> "tuple[subprocess.CompletedProcess[str], Path]":
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        (folder / "sales.csv").write_text("month,units\nMay,12\nJune,50\nJuly,31\n")
        self.llm.rules(*({"times": 1, "reply": {"content": reply}} for reply in replies))
        done = python("data_analysis.py", "--llm", self.llm.url, "--image", "debian-agent", "--out", folder / "out",
                      folder / "sales.csv", "Which month was the best? Draw them all.")
        return done, folder / "out"

    def test_a_program_that_fails_is_corrected_and_its_plot_comes_out(self) -> None:
        done, out = self.analyse("I guess:\n```python" + PLOT.format(column="amount") + "```",
                                 "The column is called units.\n```python" + PLOT.format(column="units") + "```")
        self.assertEqual((done.returncode, done.stdout), (0, "the best month was June\n"), done.stderr)
        self.assertIn("an attempt failed: KeyError: 'amount'", done.stderr)
        self.assertEqual([path.name for path in out.iterdir()], ["bars.svg"])
        self.assertIn('height="50"', (out / "bars.svg").read_text())
        first, second = (request["body"]["messages"] for request in self.llm.requests[-2:])
        self.assertIn("month,units\nMay,12", first[-1]["content"])
        self.assertIn("KeyError: 'amount'", second[-1]["content"])

    def test_after_three_programs_that_fail_it_gives_up(self) -> None:
        done, out = self.analyse("no program", "```python\nraise SystemExit(3)\n```",
                                 "```python\nopen('/data/sales.csv', 'w')\n```")
        self.assertEqual((done.returncode, done.stdout), (1, "no program worked, of 3\n"), done.stderr)
        self.assertEqual(list(out.iterdir()), [])


if __name__ == "__main__":
    if ngircd.PATH is None:
        print("skipped: ngircd is not installed")
        raise SystemExit(77)
    crew.enter_private_network()
    unittest.main(verbosity=2)
