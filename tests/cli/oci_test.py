"""Images that bring their own command along, run from the command line."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"]
IMAGE = "oci-test"
LIMIT_SECONDS = 120


def fireclaw(*words: str) -> "subprocess.CompletedProcess[str]":
    engine = os.environ.get("FIRECLAW_TEST_ENGINE")
    return subprocess.run([FIRECLAW, "--home", HOME, *(["--engine", engine] if engine else []), *words],
                          capture_output=True, text=True, timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL)


class Layout:
    """An OCI layout with one image of one layer: a static busybox."""

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        layer = self.add_blob(self.busybox(), "application/vnd.oci.image.layer.v1.tar")
        config = self.add_json({"architecture": "amd64", "os": "linux", "config": run,
                                "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}},
                               "application/vnd.oci.image.config.v1+json")
        manifest = self.add_json({"schemaVersion": 2, "config": config, "layers": [layer]},
                                 "application/vnd.oci.image.manifest.v1+json")
        manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))

    @staticmethod
    def busybox() -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(shutil.which("busybox") or "/bin/busybox", arcname="bin/busybox")
            for name in ("sh", "echo", "printf"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        return packed.getvalue()

    def add_blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def add_json(self, content: dict[str, Any], media_type: str) -> dict[str, Any]:
        return self.add_blob(json.dumps(content).encode(), media_type)


class OwnCommand(unittest.TestCase):
    def build(self, run: dict[str, Any]) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        layout = Layout(Path(folder.name, "layout"), run)
        self.addCleanup(fireclaw, "image", "remove", IMAGE)
        built = fireclaw("image", "build", IMAGE, "--replace", "--kernel-of", "busybox", "--oci",
                         f"oci:{layout.folder}:latest")
        self.assertEqual(built.returncode, 0, built.stderr)

    def test_entrypoint_and_arguments_run_unless_a_command_is_given(self) -> None:
        self.build({"Entrypoint": ["/bin/printf", "%s|%s\\n"], "Cmd": ["from the", "image"], "Env": ["WHO=me"]})
        images = {image["name"]: image for image in json.loads(fireclaw("image", "list", "--json").stdout)}
        self.assertEqual(images[IMAGE]["command"], ["/bin/printf", "%s|%s\\n", "from the", "image"])
        self.assertEqual(images["busybox"]["command"], [])
        own = fireclaw("run", "--net", "none", "--image", IMAGE, "--no-snapshot")
        self.assertEqual((own.returncode, own.stdout), (0, "from the|image\n"), own.stderr)
        given = fireclaw("run", "--net", "none", "--image", IMAGE, "--no-snapshot", 'echo "$WHO instead"')
        self.assertEqual((given.returncode, given.stdout), (0, "me instead\n"), given.stderr)

    def test_arguments_stand_behind_the_entrypoint_unless_another_is_named(self) -> None:
        self.build({"Entrypoint": ["/bin/printf", "%s|%s\\n"], "Cmd": ["from the", "image"]})
        images = {image["name"]: image for image in json.loads(fireclaw("image", "list", "--json").stdout)}
        self.assertEqual(images[IMAGE]["entrypoint"], ["/bin/printf", "%s|%s\\n"])
        run = ["run", "--net", "none", "--image", IMAGE, "--no-snapshot"]
        for words, wanted in (
            (["--", "my", "own"], "my|own\n"),
            (["--entrypoint", "/bin/echo", "--", "-n", "x"], "x"),
            (["--entrypoint", "", "--", "/bin/echo", "plain"], "plain\n"),
        ):
            with self.subTest(words):
                result = fireclaw(*run, *words)
                self.assertEqual((result.returncode, result.stdout), (0, wanted), result.stderr)
        self.assertIn("a command is needed", fireclaw(*run, "--entrypoint", "").stderr)

    def test_a_reference_is_fetched_and_built_on_its_first_use(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            layout = Layout(Path(folder, "layout"), {"Cmd": ["/bin/echo", "pulled"]})
            reference = f"oci:{layout.folder}:latest"
            # Its folder's name ends what the image is called; the beginning is cut where that is too long.
            names = {image["name"] for image in json.loads(fireclaw("image", "list", "--json").stdout)}
            first = fireclaw("run", "--net", "none", "--no-snapshot", "--pull", reference)
            made = {image["name"] for image in json.loads(fireclaw("image", "list", "--json").stdout)} - names
            for name in made:
                self.addCleanup(fireclaw, "image", "remove", name)
            self.assertEqual((first.returncode, first.stdout), (0, "pulled\n"), first.stderr)
            self.assertEqual(len(made), 1)
            shutil.rmtree(layout.folder)
            again = fireclaw("run", "--net", "none", "--no-snapshot", "--pull", reference, "echo again")
            self.assertEqual((again.returncode, again.stdout), (0, "again\n"), again.stderr)
            self.assertIn("is the image", fireclaw("run", "--pull", reference, "--image", IMAGE, "true").stderr)

    def test_user_folder_and_hosts_are_as_docker_has_them(self) -> None:
        self.build({"User": "12345", "WorkingDir": "/app/not/there"})
        own = fireclaw("run", "--net", "none", "--image", IMAGE, "--no-snapshot",
                       'busybox id -u; busybox id -g; echo "$HOME"; busybox pwd; busybox grep -w localhost /etc/hosts')
        self.assertEqual(own.stdout.splitlines()[:5], ["12345", "0", "/", "/app/not/there", "127.0.0.1 localhost"], own.stderr)

    def test_an_image_without_a_command_needs_one(self) -> None:
        self.build({"Env": ["WHO=me"]})
        for image in (IMAGE, "busybox"):
            result = fireclaw("run", "--net", "none", "--image", image)
            self.assertEqual(result.returncode, 125)
            self.assertIn(f"no command was given, and the image '{image}' has none", result.stderr)
        self.assertEqual(json.loads(fireclaw("vm", "list", "--json").stdout), [])


if __name__ == "__main__":
    unittest.main()
