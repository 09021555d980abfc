"""Ctrl-C: a Python program that waits for fireclaw gets SIGINT."""

from __future__ import annotations

import signal
import subprocess
import sys
import unittest
from pathlib import Path

from support import running

PROLOGUE = f"""
import os
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import fireclaw
from support import open_host
host = open_host()
vm = host.vms().run()
vm.exec("true")
def say(*words):
    # A signal's handler may say something while something is being said, which print() does not allow.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""


class Interrupt(unittest.TestCase):
    def interrupt(self, program: str) -> list[str]:
        """Sends SIGINT once the program has said "up"; what it said after that, without the engine's pid."""
        with subprocess.Popen([sys.executable, "-c", PROLOGUE + program], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            try:
                first = process.stdout.readline()
                if not first.startswith("up "):
                    self.fail(first + process.stderr.read())
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
            except BaseException:
                process.kill()
                raise
        self.assertFalse(running(int(first.split()[1])), "the engine lives on")
        return [*out.splitlines(), err]

    def test_it_interrupts_a_command(self) -> None:
        said = self.interrupt("""
try:
    vm.exec("echo up; sleep 1000", on_stdout=lambda data: say("up", vm.info().engine_pid))
except KeyboardInterrupt:
    say("interrupted")
    say(vm.exec("echo goes on").text.strip())
    vm.close()
""")
        self.assertEqual(said, ["interrupted", "goes on", ""])

    def test_unhandled_it_ends_the_program_and_the_machine(self) -> None:
        said = self.interrupt("""
with vm:
    vm.exec("echo up; sleep 1000", on_stdout=lambda data: say("up", vm.info().engine_pid))
""")
        self.assertEqual(len(said), 1)
        self.assertIn("KeyboardInterrupt", said[0])

    def test_it_interrupts_a_process_and_a_stream(self) -> None:
        for start in ("""vm.spawn("echo up; sleep 1000", on_stdout=lambda data: say("up", pid)).wait()""",
                      """[say("up", pid) for piece in vm.stream("echo up; sleep 1000")]"""):
            said = self.interrupt(f"""
pid = vm.info().engine_pid
try:
    {start}
except KeyboardInterrupt:
    say(vm.exec("pgrep -f 'sleep 100[0]' || echo none").text.strip())
    vm.close()
""")
            self.assertEqual(said, ["none", ""])

    def test_another_signals_handler_runs_while_a_command_does(self) -> None:
        said = self.interrupt("""
import signal
stop = fireclaw.StopSource()
def handle(number, frame):
    say("handled", number)
    stop.request_stop()
signal.signal(signal.SIGINT, handle)
pid = vm.info().engine_pid
say(vm.exec("echo up; sleep 1000", stop=stop, on_stdout=lambda data: say("up", pid)).cancelled)
vm.close()
""")
        self.assertEqual(said, [f"handled {int(signal.SIGINT)}", "True", ""])

    def test_it_interrupts_waiting_for_a_pool(self) -> None:
        said = self.interrupt("""
pool = host.vms().pool(fireclaw.PoolConfig(size=1))
first = pool.take()
pid = vm.info().engine_pid
try:
    say("up", pid)
    while True:
        pool.take(timeout=1000).close()
except KeyboardInterrupt:
    say("interrupted")
pool.close()
first.close()
vm.close()
""")
        self.assertEqual(said, ["interrupted", ""])


if __name__ == "__main__":
    unittest.main()
