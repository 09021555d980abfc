"""What happens when something that a home folder was set up with becomes another: the engine, the image, guestd."""

import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
PREPARED = Path(os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"])
EARLIER_HOME = Path(__file__).resolve().parent.parent / "upgrade" / "home-0.1.0"
LIMIT_SECONDS = 300
# Tests change nothing in the network namespace that they are started in.
os.environ["FIRECLAW_NET"] = "none"
ENGINE = "qemu-tcg"
# An engine that this home folder is made to believe it has had before.
EARLIER = "7.2.1"


class Home:
    """A home folder with the images of the one that all tests share, and what is known of its engine."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "home"
        self.path.mkdir(mode=0o700)
        self.env: "dict[str, str]" = dict(os.environ)
        shutil.copytree(PREPARED / "images", self.path / "images")

    def fireclaw(self, *words: str, engine: str = ENGINE) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([FIRECLAW, "--home", str(self.path), "--engine", engine, *words], capture_output=True,
                              text=True, timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL, env=self.env)

    def ok(self, *words: str) -> str:
        result = self.fireclaw(*words)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def answer(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def config(self) -> Any:
        return json.loads((self.path / "config.json").read_text())

    def write_config(self, config: Any) -> None:
        (self.path / "config.json").write_text(json.dumps(config))

    def engine(self) -> Any:
        return next(entry for entry in self.config()["engines"] if entry["engine"] == ENGINE)

    def change_engine(self, **members: Any) -> None:
        config = self.config()
        for entry in config["engines"]:
            if entry["engine"] == ENGINE:
                entry.update(members)
        self.write_config(config)

    def outdate_engine(self) -> None:
        """As if the program that is there had come after the one that was tried."""
        self.change_engine(binary_mtime_ns=1)

    def snapshots(self) -> "dict[str, Any]":
        return {one["name"]: one for one in self.answer("snapshot", "list")}


class Upgrades(unittest.TestCase):
    folder: Path
    home: Home

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="fireclaw-upgrades-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.home = Home(cls.folder)
        cls.home.ok("setup")

    def test_an_engine_that_changed_is_tried_again_by_the_next_machines(self) -> None:
        as_it_is = self.home.engine()
        self.home.outdate_engine()
        checks = [check for check in self.home.answer("doctor")["checks"] if check["name"].startswith("engine " + ENGINE)]
        self.assertIn("changed", checks[0]["detail"])
        words = [FIRECLAW, "--home", str(self.home.path), "--engine", ENGINE, "run", "echo ready"]
        both = [subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True) for _ in range(2)]
        for one in both:
            out, err = one.communicate(timeout=LIMIT_SECONDS)
            self.assertEqual((one.returncode, out), (0, "ready\n"), err)
        now = self.home.engine()
        self.assertEqual(now["binary_mtime_ns"], as_it_is["binary_mtime_ns"])
        self.assertTrue(now["works"])

    def test_setup_tries_an_engine_that_changed_and_then_has_nothing_to_do(self) -> None:
        self.home.outdate_engine()
        self.assertFalse(self.home.answer("setup")["already_done"])
        self.assertEqual([check for check in self.home.answer("doctor")["checks"] if check["remedy"] == "fireclaw setup"], [])
        self.assertTrue(self.home.answer("setup")["already_done"])

    def test_snapshots_of_an_earlier_engine_are_said_to_be_of_no_use_and_are_made_again(self) -> None:
        version = self.home.engine()["version"]
        self.assertNotEqual(version, EARLIER)
        self.home.change_engine(version=EARLIER)
        earlier = self.home.answer("snapshot", "create", "--memory", "136")["name"]
        self.assertTrue(self.home.snapshots()[earlier]["usable"])
        self.home.outdate_engine()
        listed = self.home.snapshots()[earlier]
        self.assertFalse(listed["usable"])
        self.assertIn(EARLIER, listed["reason"])
        self.assertIn(version, listed["reason"])
        result = self.home.fireclaw("run", "--memory", "136", "echo ready")
        self.assertEqual((result.returncode, result.stdout), (0, "ready\n"), result.stderr)
        self.assertNotIn("cold", result.stderr)
        after = [one for one in self.home.snapshots().values() if one["memory_mib"] == 136]
        self.assertEqual([one["usable"] for one in after], [True])
        self.assertNotEqual(after[0]["name"], earlier)

    def test_a_snapshot_that_the_engine_refuses_does_not_keep_a_machine_from_booting(self) -> None:
        name = self.home.answer("snapshot", "create", "--memory", "140")["name"]
        folder = self.home.path / "snapshots" / name
        state = bytearray((folder / "state").read_bytes())
        state[:64] = bytes(64)
        (folder / "state").write_bytes(state)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["state_sha256"] = hashlib.sha256(state).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))
        result = self.home.fireclaw("run", "--memory", "140", "echo ready")
        self.assertEqual((result.returncode, result.stdout), (0, "ready\n"), result.stderr)
        self.assertIn("booting cold", result.stderr)
        self.home.ok("snapshot", "remove", name)

    def test_a_snapshot_with_a_name_that_only_a_boot_has_made_is_made_again(self) -> None:
        self.home.change_engine(version=EARLIER)
        self.home.ok("snapshot", "create", "base", "--memory", "132")
        self.home.outdate_engine()
        self.assertEqual((self.home.snapshots()["base"]["usable"], self.home.snapshots()["base"]["recoverable"]),
                         (False, True))
        result = self.home.fireclaw("run", "--snapshot", "base", "echo ready")
        self.assertEqual((result.returncode, result.stdout), (0, "ready\n"), result.stderr)
        self.assertIn("making it again", result.stderr)
        self.assertTrue(self.home.snapshots()["base"]["usable"])
        self.home.ok("snapshot", "create", "base", "--replace")
        self.assertEqual(self.home.snapshots()["base"]["memory_mib"], 132)
        self.home.ok("snapshot", "remove", "base")

    def test_what_only_a_memory_held_is_refused_with_the_reason(self) -> None:
        self.home.ok("vm", "create", "box", "--memory", "128")
        self.addCleanup(self.home.ok, "vm", "rm", "--force", "box")
        self.home.ok("vm", "exec", "box", "echo kept > /root/file")
        self.home.ok("snapshot", "create", "worked", "--of", "box")
        self.assertEqual(self.home.ok("run", "--snapshot", "worked", "cat /root/file"), "kept\n")
        manifest = self.home.path / "snapshots" / "worked" / "manifest.json"
        record = json.loads(manifest.read_text())
        as_saved = dict(record)
        record["engine_identity"] = record["engine_identity"].replace(self.home.engine()["version"], EARLIER)
        manifest.write_text(json.dumps(record))
        result = self.home.fireclaw("run", "--snapshot", "worked", "cat /root/file")
        self.assertEqual(result.returncode, 125)
        self.assertIn(EARLIER, result.stderr)
        self.assertIn("fireclaw snapshot remove worked", result.stderr)
        self.assertFalse(self.home.snapshots()["worked"]["recoverable"])

        # The build of the image that it ran is kept for it, and for nothing else.
        manifest.write_text(json.dumps(as_saved))
        kept = self.home.path / "images" / ".kept"
        self.home.ok("vm", "stop", "box")
        self.rebuild_image()
        self.assertEqual([entry.name for entry in kept.iterdir()], [as_saved["image_digest"]])
        self.home.ok("gc")
        self.assertEqual(self.home.ok("run", "--snapshot", "worked", "cat /root/file"), "kept\n")
        self.assertEqual(self.home.ok("run", "cat /root/file 2>/dev/null; cat /made"), "again\n")
        result = self.home.fireclaw("image", "remove", "busybox")
        self.assertEqual(result.returncode, 125)
        self.assertIn("snapshot 'worked', machine 'box'", result.stderr)
        self.home.ok("snapshot", "remove", "worked")
        self.home.ok("gc")
        self.assertEqual(list(kept.iterdir()), [])

    def rebuild_image(self) -> None:
        """The built-in image with one more file."""
        root = Path(tempfile.mkdtemp(dir=self.folder))
        subprocess.run(["unsquashfs", "-q", "-n", "-f", "-d", str(root),
                        str(self.home.path / "images" / "busybox" / "rootfs")], check=True, stdout=subprocess.DEVNULL)
        (root / "made").write_text("again\n")
        self.home.ok("image", "build", "busybox", "--dir", str(root), "--kernel-of", "busybox", "--replace")

    def test_a_snapshot_of_another_kernel_of_the_host_is_of_no_use_and_names_both(self) -> None:
        if not os.access("/dev/kvm", os.W_OK):
            self.skipTest("there is no /dev/kvm here")
        # As far as config.json knows, this one boots.
        program = self.folder / "firecracker"
        program.write_text("#!/bin/sh\necho Firecracker v1.16.1\n")
        program.chmod(0o755)
        about = program.stat()
        config = self.home.config()
        before = json.loads(json.dumps(config))
        self.addCleanup(self.home.write_config, before)
        config["engines"].append({**self.home.engine(), "engine": "firecracker", "binary": str(program), "version": "1.16.1",
                                  "binary_bytes": about.st_size, "binary_mtime_ns": about.st_mtime_ns})
        self.home.write_config(config)
        self.home.ok("snapshot", "create", "kernels", "--memory", "132")
        self.addCleanup(self.home.ok, "snapshot", "remove", "kernels")
        manifest = self.home.path / "snapshots" / "kernels" / "manifest.json"
        record = json.loads(manifest.read_text())
        record["engine"], record["engine_identity"] = "firecracker", "firecracker 1.16.1; kvm on Linux 5.10.0-1; some CPU"
        manifest.write_text(json.dumps(record))
        listed = json.loads(self.home.fireclaw("snapshot", "list", "--json", engine="auto").stdout)
        reason = next(one["reason"] for one in listed if one["name"] == "kernels")
        self.assertIn("kernel of the host", reason)
        self.assertIn("kvm on Linux 5.10.0-1", reason)
        self.assertIn(f"kvm on Linux {os.uname().release}", reason)

    def test_an_image_that_is_needed_goes_only_by_force_and_says_what_goes_along(self) -> None:
        self.home.ok("image", "build", "other", "--busybox", "--kernel-of", "busybox")
        self.home.ok("snapshot", "create", "of-other", "--image", "other", "--memory", "128")
        result = self.home.fireclaw("image", "remove", "other")
        self.assertEqual(result.returncode, 125)
        self.assertIn("needed by snapshot 'of-other'", result.stderr)
        self.assertIn("of-other", self.home.snapshots())
        result = self.home.fireclaw("image", "remove", "--force", "other")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("removed with image 'other': snapshot 'of-other'", result.stderr)
        self.assertNotIn("of-other", self.home.snapshots())

    def test_setup_keeps_the_kernel_and_the_engine_that_somebody_chose(self) -> None:
        home = Home(Path(tempfile.mkdtemp(dir=self.folder)))
        program = self.folder / "chosen-qemu"
        program.symlink_to(self.home.engine()["binary"])
        manifest = home.path / "images" / "busybox" / "manifest.json"
        image = json.loads(manifest.read_text())
        image["kernel"]["source"] = "/srv/kernels/chosen"
        manifest.write_text(json.dumps(image))
        home.ok("--qemu", str(program), "setup")
        image["guestd_version"] = "0.0.1+000000000000"
        manifest.write_text(json.dumps(image))
        for words in (["setup"], ["setup", "--force"]):
            self.assertFalse(home.answer(*words)["already_done"])
            after = json.loads(manifest.read_text())
            self.assertNotEqual(after["guestd_version"], image["guestd_version"])
            self.assertEqual(after["kernel"], image["kernel"])
            self.assertEqual(home.engine()["binary"], str(program))
            manifest.write_text(json.dumps(after))


class FetchedEngines(unittest.TestCase):
    """Releases of Firecracker from a server, with a program in them that says which it is and no more."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fireclaw-engines-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.home = Home(self.folder)
        self.site = self.folder / "site"
        self.site.mkdir()
        handler = functools.partial(Quiet, directory=str(self.site))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"

    def release(self, version: str, program: str = "firecracker-v{}-x86_64") -> "tuple[str, str]":
        """URL and digest of an archive as the project's own are laid out."""
        archive = self.site / f"firecracker-v{version}-x86_64.tgz"
        name = program.format(version)
        with tarfile.open(archive, "w:gz") as tar:
            for member, text in ((name + ".debug", "symbols"), (name, f"#!/bin/sh\necho Firecracker v{version}\n"),
                                 (f"jailer-v{version}-x86_64", "#!/bin/sh\n")):
                info = tarfile.TarInfo(f"release-v{version}-x86_64/{member}")
                info.size, info.mode = len(text), 0o755
                tar.addfile(info, io.BytesIO(text.encode()))
        return f"{self.url}/{archive.name}", hashlib.sha256(archive.read_bytes()).hexdigest()

    def fetch(self, url: str, digest: str) -> "subprocess.CompletedProcess[str]":
        return self.home.fireclaw("setup", "--firecracker", url, "--firecracker-sha256", digest)

    def kept(self) -> "list[str]":
        return sorted(path.name for path in (self.home.path / "engines").iterdir())

    def test_a_release_is_fetched_checked_and_kept_by_its_version_while_a_snapshot_needs_it(self) -> None:
        url, digest = self.release("1.16.1")
        result = self.fetch(url, digest[:-1] + ("0" if digest[-1] != "0" else "1"))
        self.assertEqual(result.returncode, 125)
        self.assertIn("SHA-256", result.stderr)
        self.assertEqual(self.kept(), [])

        result = self.fetch(url, digest)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.kept(), ["firecracker-1.16.1"])
        program = self.home.path / "engines" / "firecracker-1.16.1" / "firecracker"
        self.assertEqual(subprocess.check_output([program, "--version"], text=True), "Firecracker v1.16.1\n")

        # As one that Firecracker saved.
        self.home.ok("snapshot", "create", "saved", "--memory", "128")
        manifest = self.home.path / "snapshots" / "saved" / "manifest.json"
        record = json.loads(manifest.read_text())
        record["engine"], record["engine_identity"] = "firecracker", "firecracker 1.16.1; kvm on Linux 6.1.0; some CPU"
        manifest.write_text(json.dumps(record))
        self.assertEqual(self.fetch(*self.release("1.17.0")).returncode, 0)
        self.assertEqual(self.kept(), ["firecracker-1.16.1", "firecracker-1.17.0"])
        self.home.ok("snapshot", "remove", "saved")
        self.home.ok("gc")
        self.assertEqual(self.kept(), ["firecracker-1.17.0"])

    def test_what_is_not_a_release_is_refused_and_nothing_is_left_of_it(self) -> None:
        result = self.fetch(*self.release("1.16.1", program="other-v{}"))
        self.assertEqual(result.returncode, 125)
        self.assertIn("holds no Firecracker", result.stderr)
        self.assertEqual([name for name in self.kept() if not name.startswith(".download-")], [])
        url, digest = self.release("1.16.1")
        for words in (("--firecracker", url), ("--firecracker-sha256", digest)):
            result = self.home.fireclaw("setup", *words)
            self.assertEqual(result.returncode, 125)
            self.assertIn("--firecracker-sha256", result.stderr)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class FromTheLastVersion(unittest.TestCase):
    """A home folder whose records 0.1.0 wrote; what is large (images, disks, memory) is not kept with them."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fireclaw-earlier-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.home = Home(self.folder)
        build = json.loads((EARLIER_HOME / "images" / "busybox" / "manifest.json").read_text())
        manifest = self.home.path / "images" / "busybox" / "manifest.json"
        image = json.loads(manifest.read_text())
        image["guestd_version"] = build["guestd_version"]
        image.pop("recipe", None)
        self.assertEqual(image.keys(), build.keys())
        for source in EARLIER_HOME.rglob("*.json"):
            target = self.home.path / source.relative_to(EARLIER_HOME)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        manifest.write_text(json.dumps(image))
        for snapshot in (self.home.path / "snapshots").iterdir():
            for name in ("state", "memory"):
                (snapshot / name).write_bytes(b"")
        with open(self.home.path / "workspaces" / "notes" / "disk.ext4", "wb") as disk:
            disk.truncate(16 << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", disk.name], check=True, stdin=subprocess.DEVNULL)

    def add_unit(self) -> Path:
        """The overseer's unit as 0.1.0 wrote it for this home folder and the user's own manager."""
        unit = self.folder / "config" / "systemd" / "user" / "fireclaw-overseer.service"
        unit.parent.mkdir(parents=True)
        text = (EARLIER_HOME / "fireclaw-overseer.service").read_text()
        unit.write_text(text.replace("@PROGRAM@", str(Path(FIRECLAW).with_name("fireclaw-overseer")))
                        .replace("@HOME@", str(self.home.path)))
        systemctl = self.folder / "systemctl"
        systemctl.write_text("#!/bin/sh\n")
        systemctl.chmod(0o755)
        self.home.env = {**os.environ, "XDG_CONFIG_HOME": str(self.folder / "config"),
                         "PATH": f"{self.folder}:{os.environ['PATH']}"}
        return unit

    def test_its_records_are_read_and_what_is_old_is_made_again(self) -> None:
        self.assertEqual([agent["name"] for agent in self.home.answer("agent", "list")], ["ada"])
        self.assertEqual([space["name"] for space in self.home.answer("workspace", "list")], ["notes"])
        self.assertIn("dev", self.home.ok("vm", "list"))
        base = self.home.snapshots()["base"]
        self.assertEqual((base["memory_mib"], base["usable"], base["recoverable"]), (132, False, False))
        unit = self.add_unit()
        old = {check["name"]: check["remedy"] for check in self.home.answer("doctor")["checks"]}
        self.assertEqual(old["image busybox"], "fireclaw upgrade")
        self.assertEqual(old["service fireclaw-overseer"], "fireclaw upgrade")

        renewed = self.home.answer("upgrade")["renewed"]
        self.assertIn("image busybox", renewed)
        self.assertIn(f"unit {unit}", renewed)
        self.assertIn("Slice=fireclaw.slice\n", unit.read_text())
        self.assertEqual(self.home.answer("upgrade")["renewed"], [])
        self.assertEqual(self.home.ok("upgrade"), "nothing is old\n")
        after = {check["name"]: check["remedy"] for check in self.home.answer("doctor")["checks"]}
        self.assertEqual(after["image busybox"], "")
        self.assertEqual(self.home.ok("run", "echo ready"), "ready\n")
        self.home.ok("vm", "start", "dev")
        self.addCleanup(self.home.ok, "vm", "rm", "--force", "dev")
        self.assertEqual(self.home.ok("vm", "exec", "dev", "hostname"), "dev\n")
        self.assertEqual([agent["name"] for agent in self.home.answer("agent", "list")], ["ada"])


if __name__ == "__main__":
    unittest.main()
