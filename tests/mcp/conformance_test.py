"""`fireclaw mcp` with the official TypeScript clients, which npm fetches as tests/mcp/sdk/package-lock.json says.

Without npm, or a registry in reach, the test is skipped. With --install it only fetches them.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from client import command, machines

HERE = Path(__file__).resolve().parent
INSTALL_SECONDS = 400
TEST_SECONDS = 400


def skip(reason: str) -> NoReturn:
    print(f"skipped: {reason}")
    sys.exit(77)


def cache_folder() -> Path:
    """Of this lock and no other; shared by all checkouts."""
    cache = Path(os.environ.get("FIRECLAW_TEST_CACHE") or os.environ["FIRECLAW_BUILD_CACHE"])
    digest = hashlib.sha256((HERE / "sdk" / "package-lock.json").read_bytes()).hexdigest()
    return cache / "mcp-sdk" / digest[:16]


def install(npm: str) -> Path:
    """The folder with the clients. It gets its name only when it is complete."""
    folder = cache_folder()
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "sdk" / name, draft)
        try:
            result = subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier",
                                     "--fetch-retries=1", "--fetch-timeout=60000"],
                                    cwd=draft, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            skip(f"npm did not fetch the clients within {INSTALL_SECONDS} s")
        if result.returncode != 0:
            # What was fetched but is not what the lock says was reached.
            if "EINTEGRITY" in result.stdout or "can only install packages when" in result.stdout:
                sys.exit(f"what npm fetched does not fit the lock:\n{result.stdout}")
            errors = [line for line in result.stdout.splitlines() if line.lower().startswith("npm err")]
            skip(f"npm cannot fetch the clients: {errors[0] if errors else 'no reason given'}")
        try:
            draft.rename(folder)
        except OSError:
            # Another run was first.
            assert folder.exists()
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def main() -> None:
    npm = shutil.which("npm")
    node = shutil.which("node")
    if npm is None or node is None:
        skip("npm and node are not installed")
    folder = install(npm)
    if sys.argv[1:] == ["--install"]:
        return
    result = subprocess.run([node, str(HERE / "conformance.mjs"), *command()], cwd=folder, stdin=subprocess.DEVNULL,
                            timeout=TEST_SECONDS)
    if result.returncode != 0:
        sys.exit(f"a client ended with status {result.returncode}")
    if left := machines():
        sys.exit(f"machines are left: {json.dumps(left)}")


if __name__ == "__main__":
    main()
