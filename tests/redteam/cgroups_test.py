"""The library's own tests of cgroups, with a kernel that has version 2 whatever this host has: in a guest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from redteam import Attempt, fireclaw

TESTS = os.environ["FIRECLAW_SANDBOX_TEST"]


class Cgroups(Attempt):
    def test_a_kernel_of_version_2_keeps_what_the_library_sets(self) -> None:
        here = self.folder / "tests"
        here.mkdir()
        needed = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", TESTS], check=True, capture_output=True, text=True).stdout)
        loader = next(Path(path).name for path in needed if Path(path).name.startswith("ld-"))
        for path in (TESTS, *needed):
            shutil.copy(path, here / Path(path).name)
        subprocess.run(["strip", here / Path(TESTS).name], check=True)
        # The programs that a test starts are where a host has them; the disk that it reads is the image's.
        script = (f"mkdir -p /usr/bin && cp -L /bin/busybox /usr/bin/cat && FIRECLAW_TEST_CGROUPS=1 "
                  f"/tests/{loader} --library-path /tests /tests/{Path(TESTS).name} -tc=*cgroup*")
        done = fireclaw("run", "--memory", "256", "--no-snapshot", "--copy-in", f"{here}:/tests", script)
        said = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode, 0, said + done.stderr.decode(errors="replace"))
        self.assertNotIn("skipped:", said)
        self.assertNotIn("without io.max", said)
        self.assertRegex(said, r"test cases: +6 \| +6 passed \| 0 failed")


if __name__ == "__main__":
    unittest.main()
