"""Setup as strangers meet it: broken engines, broken kernels, interruptions, two at once."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
PREPARED = Path(os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"])
ENGINE = os.environ.get("FIRECLAW_TEST_ENGINE", "auto")
LIMIT_SECONDS = 300
# Tests change nothing in the network namespace that they are started in.
os.environ["FIRECLAW_NET"] = "none"


def remove_tree(folder: Path) -> None:
    """Also one in which a killed build's helpers still write: each new try removes what they made meanwhile. Once the
    folder is gone they cannot make another."""
    end = time.monotonic() + 60
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > end:
                raise


class RemoveTree(unittest.TestCase):
    def test_a_folder_goes_away_even_while_somebody_writes_into_it(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="fireclaw-setup-test-"))
        # It ends by itself as well: on a busy machine nobody may be quick enough to remove what it makes.
        line = ("i=0; while [ $i -lt 3000 ] && mkdir -p deep/$i && echo x >deep/$i/file; "
                "do i=$((i + 1)); [ $i -ne 20 ] || echo busy; done")
        with subprocess.Popen(["sh", "-c", line], cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as writer:
            assert writer.stdout is not None
            self.assertEqual(writer.stdout.readline(), b"busy\n")
            self.assertIsNone(writer.poll())
            remove_tree(folder)
            writer.wait(60)
        self.assertFalse(folder.exists())


class Setup(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fireclaw-setup-test-"))
        self.addCleanup(remove_tree, self.folder)
        self.home = self.folder / "home"
        self.home.mkdir(mode=0o700)
        # What was fetched once need not be fetched again; a copy, because one test gives it to another user.
        shared = os.environ.get("FIRECLAW_TEST_CACHE")
        downloads = Path(shared, "downloads") if shared else PREPARED / "images" / ".cache"
        if downloads.is_dir():
            shutil.copytree(downloads, self.home / "images" / ".cache")

    def words(self, *words: str, engine: str = ENGINE) -> list[str]:
        firecracker = os.environ.get("FIRECLAW_TEST_FIRECRACKER")
        return [FIRECLAW, "--home", str(self.home), "--engine", engine, *(["--firecracker", firecracker] if firecracker else []), *words]

    def fireclaw(self, *words: str, engine: str = ENGINE) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.words(*words, engine=engine), capture_output=True, text=True,
                              timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL)

    def setup_words(self, *more: str) -> list[str]:
        kernel = os.environ.get("FIRECLAW_TEST_KERNEL")
        return ["setup", *(["--kernel", kernel] if kernel else []), *more]

    def borrow_images(self) -> None:
        shutil.copytree(PREPARED / "images", self.home / "images", dirs_exist_ok=True)

    def fake_engine(self, body: str) -> str:
        path = self.folder / "fake-qemu"
        path.write_text("#!/bin/sh\n"
                        'if [ "$1" = --version ]; then echo "QEMU emulator version 7.2.22"; exit 0; fi\n' + body)
        path.chmod(0o755)
        return str(path)

    def refused(self, result: "subprocess.CompletedProcess[str]", *texts: str) -> None:
        self.assertEqual(result.returncode, 125, result.stderr)
        last = result.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("fireclaw: "), result.stderr)
        for text in texts:
            self.assertIn(text, last)
        self.assertNotEqual(self.fireclaw("run", "true").returncode, 0)
        self.assertEqual(self.leftovers(), [])

    def leftovers(self) -> list[str]:
        """Folders that a failed step must not leave: half an image, half a snapshot, a machine."""
        found = []
        for folder in ("images", "snapshots", "runs"):
            for path in (self.home / folder).glob("*"):
                if folder == "runs" or path.name.startswith((".build-", ".draft-", ".trash-")):
                    found.append(str(path))
        return found

    def test_an_engine_that_crashes_at_its_start_is_quoted(self) -> None:
        self.borrow_images()
        fake = self.fake_engine("echo 'error: something is rotten' >&2; exit 1\n")
        result = self.fireclaw("--qemu", fake, *self.setup_words(), engine="qemu-tcg")
        self.refused(result, "qemu-tcg", "something is rotten")

    def test_a_program_that_is_no_engine_is_found_out(self) -> None:
        self.borrow_images()
        self.refused(self.fireclaw("--qemu", "/bin/true", *self.setup_words(), engine="qemu-tcg"), "qemu-tcg")
        self.refused(self.fireclaw("--qemu", "/no/such/qemu", *self.setup_words(), engine="qemu-tcg"), "/no/such/qemu")

    def test_an_engine_that_is_too_old_is_refused_by_its_version(self) -> None:
        self.borrow_images()
        fake = self.folder / "old-qemu"
        fake.write_text("#!/bin/sh\necho 'QEMU emulator version 5.2.0'\n")
        fake.chmod(0o755)
        self.refused(self.fireclaw("--qemu", str(fake), *self.setup_words(), engine="qemu-tcg"), "5.2.0", "7.2")

    @unittest.skipUnless(os.access("/dev/kvm", os.R_OK | os.W_OK), "there is no /dev/kvm to open")
    def test_an_engine_that_hangs_is_given_up_within_fifteen_seconds(self) -> None:
        self.borrow_images()
        fake = self.fake_engine("exec sleep 1000\n")
        began = time.monotonic()
        result = self.fireclaw("--qemu", fake, *self.setup_words(), engine="qemu-kvm")
        self.assertLess(time.monotonic() - began, 20)
        self.refused(result, "qemu-kvm")

    def test_one_that_makes_no_progress_is_given_up_after_the_time_that_was_asked_for(self) -> None:
        self.borrow_images()
        fake = self.fake_engine("exec sleep 1000\n")
        began = time.monotonic()
        result = self.fireclaw("--qemu", fake, *self.setup_words("--boot-timeout", "2"), engine="qemu-tcg")
        # Without the option it would be 90 s.
        self.assertLess(time.monotonic() - began, 45)
        self.refused(result, "qemu-tcg")

    def test_a_file_that_is_no_kernel_is_refused(self) -> None:
        self.refused(self.fireclaw("setup", "--kernel", "/etc/passwd"), "/etc/passwd", "kernel")
        self.refused(self.fireclaw("setup", "--kernel", "/no/such/kernel"), "/no/such/kernel")
        kernel = PREPARED / "images" / "busybox" / "kernel"
        half = self.folder / "half"
        half.write_bytes(kernel.read_bytes()[: kernel.stat().st_size // 2])
        self.refused(self.fireclaw("setup", "--kernel", str(half)), "truncated")

    def test_interrupted_at_any_moment_it_goes_on_later(self) -> None:
        for delay in (0.05, 0.3, 1.0, 2.0, 4.0):
            process = subprocess.Popen(self.words(*self.setup_words()), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if not self.home.exists():
                continue
            images = subprocess.run(self.words("image", "list", "--json"), capture_output=True, text=True, timeout=60)
            for image in json.loads(images.stdout):
                self.assertTrue((self.home / "images" / image["name"] / "manifest.json").exists())
        result = self.fireclaw(*self.setup_words())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.leftovers(), [])
        self.assertEqual(self.fireclaw("run", "echo ready").stdout, "ready\n")

    def test_two_at_once_both_succeed_and_ctrl_c_leaves_nothing_half_made(self) -> None:
        process = subprocess.Popen(self.words(*self.setup_words()), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        self.assertIn(process.wait(60), (130, 0))
        self.assertEqual(self.leftovers(), [])
        pair = [subprocess.Popen(self.words(*self.setup_words("--json")), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        reports = []
        for one in pair:
            out, err = one.communicate(timeout=LIMIT_SECONDS)
            self.assertEqual(one.returncode, 0, err)
            reports.append(json.loads(out))
        self.assertEqual(sorted(report["already_done"] for report in reports), [False, True])
        self.assertEqual(self.fireclaw("run", "echo ready").stdout, "ready\n")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_an_ordinary_user_can_set_up_and_run(self) -> None:
        self.folder.chmod(0o755)
        self.home.mkdir(mode=0o700, exist_ok=True)
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, 65534, 65534)

        def run(*words: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *self.words(*words)],
                                  capture_output=True, text=True, timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL,
                                  cwd="/", env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "FIRECLAW_NET": "none"})

        if run("--version").returncode != 0:
            self.skipTest("the build folder cannot be read by others")
        kernel = os.environ.get("FIRECLAW_TEST_KERNEL")
        if kernel and subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "test", "-r",
                                      kernel]).returncode != 0:
            self.skipTest("the kernel cannot be read by others")
        result = run(*self.setup_words())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(run("run", "id -u").stdout, "0\n")


if __name__ == "__main__":
    unittest.main()
