"""The job for Slurm, on a cluster of two nodes that the test brings up in a network namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "agents"))

import slurm_cluster  # noqa: E402
from crew import FIRECLAW, HOME, engines_of, enter_private_network, eventually  # noqa: E402

FAN_OUT = Path(os.environ["FIRECLAW_EXAMPLES"]) / "jobs/slurm/fan_out.sh"


class FanOut(unittest.TestCase):
    cluster: slurm_cluster.Cluster

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-slurm-")
        cls.addClassCleanup(folder.cleanup)
        cls.cluster = slurm_cluster.Cluster(Path(folder.name))
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-fan-out-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def start(self, lines: str) -> subprocess.Popen[str]:
        (self.folder / "lines").write_text(lines)
        path = f"{os.path.dirname(FIRECLAW)}:{os.environ['PATH']}"
        program = subprocess.Popen(
            [FAN_OUT, "lines", "results"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            env={**os.environ, **self.cluster.environment, "FIRECLAW_HOME": HOME, "PATH": path})
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    def result(self, name: str) -> str:
        return (self.folder / "results" / name).read_text()

    def test_lines_are_spread_over_the_nodes_and_each_leaves_its_outputs_and_status(self) -> None:
        said, problems = self.start("echo one; hostname\necho two >&2; exit 3\ntrue\ncat /none\n").communicate(timeout=200)
        table = [line.split(None, 3) for line in said.splitlines()]
        self.assertEqual([(number, status) for number, status, _, _ in table],
                         [("1", "0"), ("2", "3"), ("3", "0"), ("4", "1")], said + problems)
        self.assertEqual({node for _, _, node, _ in table}, {"one", "two"})
        self.assertEqual(table[1][3], "echo two >&2; exit 3")
        self.assertRegex(self.result("1.out"), r"^one\nfc-[0-9a-f]{8}\n$")
        self.assertEqual(self.result("2.err"), "two\n")
        self.assertIn("/none", self.result("4.err"))

    def test_a_job_that_is_cancelled_takes_its_machine_with_it(self) -> None:
        program = self.start("echo up; sleep 1000\n")
        self.addCleanup(self.cluster.run, "scancel", "--name=fireclaw", "--signal=KILL", "--full")
        output = self.folder / "results/1.out"
        eventually(lambda: output.exists() and output.read_text() == "up\n", 120)
        self.assertEqual(len(engines_of()), 1)
        self.cluster.run("scancel", "--name=fireclaw")
        eventually(lambda: not engines_of(), 20)
        said, _ = program.communicate(timeout=120)
        self.assertNotEqual(program.returncode, 0)
        # Slurm signals the engine as well as fireclaw: either may be first.
        self.assertRegex(said, r"^ +1  (125|143) +(one|two) +echo up; sleep 1000\n$")
        self.assertEqual(os.listdir(os.path.join(HOME, "runs")), [])


if __name__ == "__main__":
    if slurm_cluster.CONTROLLER is None or slurm_cluster.DAEMON is None:
        print("skipped: slurmctld and slurmd are not installed")
        raise SystemExit(77)
    enter_private_network()
    unittest.main(verbosity=2)
