"""The unit files that are installed, judged by systemd's own tools, which need no systemd that runs, and by what the
programs can do within them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Dict, List

from office import PROGRAM, NotifySocket, Overseer, eventually

# In tenths of systemd's points, of which fewer are better; none of this confinement would be 96.
# The overseer's may change users and divide its cgroup, so that each machine's engine has a user and a cgroup of its own.
MOST_EXPOSED = {"fireclaw-agents": 64, "fireclaw-overseer": 64, "fireclaw-irc": 54}

FIRECLAW = os.path.join(os.path.dirname(PROGRAM), "fireclaw")
NOBODY = 65534

# Whose processes end with the first of them.
NAMESPACES = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--fork", "--kill-child"]


def settings_of(file: str) -> Dict[str, str]:
    return dict(line.split("=", 1) for line in Path(file).read_text().splitlines() if "=" in line)


def words_of(value: str) -> List[str]:
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(value)]


def confine(unit: Dict[str, str]) -> None:
    """Takes from the mounts of this process, which must be its own, what the unit's protection takes from a service's."""
    def remount(path: str, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,bind,{how}", path], check=True)

    def make_mount(path: str, how: str) -> None:
        subprocess.run(["mount", "--bind", path, path], check=True)
        remount(path, how)

    assert unit["ProtectSystem"] == "strict"
    mounts = [line.split()[4].encode().decode("unicode_escape") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for path in dict.fromkeys(mounts):
        if not path.startswith(("/proc", "/sys", "/dev")):
            remount(path, "ro")
    for path in words_of(unit["ReadWritePaths"]):
        make_mount(path, "rw")
    if unit.get("ProtectKernelTunables") == "yes":
        make_mount("/proc/sys", "ro")


def serve_confined(file: str) -> None:
    """Runs the unit of the IRC server in the namespaces that this process was started in, and calls at the gateway."""
    unit = settings_of(file)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    systemd = NotifySocket(file + ".notify")
    confine(unit)
    capabilities = ",".join("+" + name.removeprefix("CAP_").lower() for name in unit["CapabilityBoundingSet"].split())
    server = subprocess.Popen(["setpriv", "--no-new-privs", f"--bounding-set=-all,{capabilities}", *words_of(unit["ExecStart"])],
                              stdout=subprocess.DEVNULL, env={**os.environ, "NOTIFY_SOCKET": file + ".notify"})
    try:
        systemd.wait_for("READY=1")
        with socket.create_connection(("172.16.0.1", 6667), 10) as client:
            client.sendall(b"NICK alice\r\nUSER alice 0 * :alice\r\n")
            client.settimeout(10)
            print(client.makefile().readline())
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


class Units(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="fireclaw-units-")
        self.addCleanup(shutil.rmtree, self.folder)
        # A home that has to be quoted.
        self.home = os.path.join(self.folder, "my home, 100%")
        os.mkdir(self.home, 0o700)

    def write(self, *options: str) -> List[str]:
        folder = os.path.join(self.folder, "units")
        for which in ([], ["irc"]):
            subprocess.run([PROGRAM, "--home", self.home, *which, "install", "--no-enable", "--unit-folder", folder, *options],
                           check=True, stdout=subprocess.DEVNULL)
        return sorted(str(path) for path in Path(folder).glob("*.service"))

    def verify(self, files: List[str], *options: str) -> str:
        runtime = os.path.join(self.folder, "runtime")
        os.makedirs(runtime, 0o700, exist_ok=True)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *options, *files], capture_output=True, text=True,
                              env={**os.environ, "XDG_RUNTIME_DIR": runtime})
        return done.stdout + done.stderr + ("" if done.returncode == 0 else f"status {done.returncode}")

    def test_systemd_finds_nothing_wrong_with_them(self) -> None:
        files = self.write()
        self.assertEqual([os.path.basename(file) for file in files], ["fireclaw-agents.service", "fireclaw-irc.service", "fireclaw-overseer.service"])
        self.assertEqual(self.verify(files), "")

    def test_nor_with_those_for_ones_own_manager(self) -> None:
        self.assertEqual(self.verify(self.write("--user"), "--user"), "")

    def test_they_may_write_where_their_settings_have_them_write(self) -> None:
        log, run = os.path.join(self.folder, "my log"), os.path.join(self.folder, "run")
        settings = Path(self.home, "overseer.json")
        settings.write_text(json.dumps({"audit_log": f"{log}/audit.log", "metrics": f"{run}/socket"}))
        files = self.write()
        self.assertEqual(self.verify(files), "")
        self.assertEqual(words_of(settings_of(files[2])["ReadWritePaths"]), [self.home, "-" + log, "-" + run])
        settings.write_text(json.dumps({"audit_log": "audit.log"}))
        done = subprocess.run([PROGRAM, "--home", self.home, "install", "--no-enable", "--unit-folder", self.folder],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 125)
        self.assertIn("a service does not use 'audit.log'", done.stderr)

    def test_one_that_runs_already_is_started_again(self) -> None:
        called = Path(self.folder, "called")
        systemctl = Path(self.folder, "systemctl")
        systemctl.write_text(f'#!/bin/sh\necho "$@" >>"{called}"\n')
        systemctl.chmod(0o755)
        for options, prefix in (([], ""), (["--user"], "--user ")):
            called.write_text("")
            done = subprocess.run([PROGRAM, "--home", self.home, "irc", "install", "--unit-folder", self.folder, *options],
                                  env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}, capture_output=True, text=True)
            if os.geteuid() != 0 and not options:
                self.assertIn("use sudo, or --user", done.stderr)
                continue
            self.assertEqual(called.read_text().splitlines(), [prefix + "daemon-reload", prefix + "enable fireclaw-irc.service",
                                                               prefix + "restart fireclaw-irc.service"], done.stderr)
            self.assertEqual("loginctl enable-linger" in done.stdout, bool(options))

    def systemctl(self) -> Path:
        """What was asked of a systemctl that does nothing."""
        called = Path(self.folder, "called")
        systemctl = Path(self.folder, "systemctl")
        systemctl.write_text(f'#!/bin/sh\necho "$@" >>"{called}"\n')
        systemctl.chmod(0o755)
        return called

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        # It removes the network of the namespace that it runs in.
        if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
            self.skipTest("no network namespace of its own can be had here")
        return subprocess.run(["unshare", "--net", PROGRAM, "--home", self.home, *words, "--unit-folder", self.folder, "--user"],
                              env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}, capture_output=True, text=True)

    def test_the_overseer_stops_before_the_agents_and_these_before_the_irc_server(self) -> None:
        agents, _, overseer = map(settings_of, self.write())
        self.assertEqual(agents["After"], "network.target fireclaw-irc.service")
        self.assertEqual(overseer["After"], "network.target fireclaw-irc.service fireclaw-agents.service")
        self.assertEqual(overseer["Wants"], "fireclaw-irc.service fireclaw-agents.service")
        self.assertEqual(words_of(agents["ExecStop"]), [os.path.realpath(PROGRAM), "--home", self.home, "shutdown"])

    def test_installing_again_restarts_the_overseer_and_ends_no_agent(self) -> None:
        called = self.systemctl()
        self.assertEqual(self.ask("install").returncode, 0)
        self.assertEqual(called.read_text().splitlines(),
                         [f"--user {words}" for words in ("daemon-reload", "enable fireclaw-agents.service",
                                                          "start fireclaw-agents.service", "daemon-reload",
                                                          "enable fireclaw-overseer.service",
                                                          "restart fireclaw-overseer.service")])

    def test_what_was_installed_is_removed_and_what_stays_is_said(self) -> None:
        called = self.systemctl()
        self.assertEqual(self.ask("install").returncode, 0)
        self.assertEqual(self.ask("irc", "install").returncode, 0)
        called.write_text("")
        done = self.ask("uninstall")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(called.read_text().splitlines(),
                         [f"--user {words}" for words in ("disable --now fireclaw-overseer.service", "daemon-reload",
                                                          "disable --now fireclaw-agents.service", "daemon-reload")])
        self.assertEqual([path.name for path in Path(self.folder).glob("*.service")], ["fireclaw-irc.service"])
        self.assertIn(f"stays: '{self.home}' with agents", done.stdout)
        self.assertIn("removed", self.ask("irc", "uninstall").stdout)
        self.assertIn("there is no unit to remove", self.ask("irc", "uninstall").stdout)

    def test_the_home_folder_is_the_one_that_the_service_is_for(self) -> None:
        self.systemctl()
        self.assertEqual(self.ask("install").returncode, 0)
        other = os.path.join(self.folder, "other")
        os.mkdir(other, 0o700)
        uninstall = ["unshare", "--net", PROGRAM, "uninstall", "--unit-folder", self.folder, "--user", "--no-enable"]
        done = subprocess.run([*uninstall, "--home", other], capture_output=True, text=True)
        self.assertEqual(done.returncode, 125)
        self.assertIn(f"is for home folder '{self.home}'; name that one with --home", done.stderr)
        self.assertEqual(len(list(Path(self.folder).glob("*.service"))), 2)
        wants = Path(self.folder, "default.target.wants", "fireclaw-overseer.service")
        wants.parent.mkdir()
        wants.symlink_to("../fireclaw-overseer.service")
        done = subprocess.run(uninstall, capture_output=True, text=True, env={**os.environ, "FIRECLAW_HOME": other})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"stays: '{self.home}' with agents", done.stdout)
        self.assertNotIn(other, done.stdout)
        self.assertEqual(list(Path(self.folder).glob("*.service")), [])
        self.assertFalse(wants.is_symlink())

    def test_root_ends_what_another_users_service_has_left(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("needs root")
        os.chmod(self.folder, 0o755)
        os.chown(self.home, NOBODY, NOBODY)
        folder = os.path.join(self.folder, "units")
        in_order = f"""
            ip link set lo up
            before=$(ip -o link; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward)
            '{PROGRAM}' --home "$1" install --no-enable --unit-folder "$2" >/dev/null
            setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin \
              '{FIRECLAW}' --home "$1" network up
            ip link show fcbr0 >/dev/null
            '{PROGRAM}' uninstall --no-enable --unit-folder "$2"
            test "$before" = "$(ip -o link; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward)"
        """
        done = subprocess.run([*NAMESPACES, "sh", "-euc", in_order, "sh", self.home, folder], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], f"stays: '{self.home}' with agents, workspaces and images")

    def units(self, *options: str) -> List[Dict[str, object]]:
        done = subprocess.run([PROGRAM, "--home", self.home, "units", "--json", "--unit-folder", os.path.join(self.folder, "units"),
                               *options], check=True, capture_output=True, text=True,
                              env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"})
        units: List[Dict[str, object]] = json.loads(done.stdout)
        return units

    def test_those_of_an_earlier_version_are_found_and_written_again_as_they_were_asked_for(self) -> None:
        called = self.systemctl()
        settings = Path(self.folder, "settings.json")
        settings.write_text(json.dumps({"metrics": f"{self.folder}/run/socket"}))
        folder = os.path.join(self.folder, "units")
        as_wanted = ["--user", "--no-enable", "--unit-folder", folder]
        for words in (["--config", str(settings), "install"], ["irc", "--port", "6669", "--listen", "127.0.0.1", "install"]):
            subprocess.run([PROGRAM, "--home", self.home, *words, *as_wanted], check=True, stdout=subprocess.DEVNULL)
        files = sorted(Path(folder).glob("*.service"))
        now = {file: file.read_text() for file in files}
        self.assertEqual([(unit["old"], unit["remedy"]) for unit in self.units("--user")], 3 * [(False, "")])
        self.assertIn("Slice=fireclaw.slice\n", now[files[2]])
        for file in files:
            file.write_text(now[file].replace("Slice=fireclaw.slice\n", ""))
        # Other people's, and those of other home folders, are left alone.
        other = Path(folder, "fireclaw-agents.service")
        other.write_text(other.read_text().replace("my home", "your home"))
        of_others = other.read_text()
        self.assertEqual([(unit["unit"], unit["old"], unit["remedy"]) for unit in self.units("--user")],
                         [(str(file), True, "fireclaw upgrade") for file in (files[1], files[2])])
        self.assertEqual([unit["renewed"] for unit in self.units("--user", "--renew")], [True, True])
        self.assertEqual({file: file.read_text() for file in files}, {**now, other: of_others})
        self.assertEqual(called.read_text().splitlines(), 2 * ["--user daemon-reload"])
        self.assertEqual([unit["old"] for unit in self.units("--user", "--renew")], [False, False])
        files[1].write_text("[Service]\nExecStart=/usr/sbin/ngircd\n")
        self.assertEqual([unit["unit"] for unit in self.units("--user")], [str(files[2])])

    def test_an_overseer_that_starts_writes_its_own_again(self) -> None:
        called = self.systemctl()
        folder = Path(self.folder, "config", "systemd", "user")
        subprocess.run([PROGRAM, "--home", self.home, "install", "--user", "--no-enable", "--unit-folder", str(folder)], check=True,
                       stdout=subprocess.DEVNULL)
        file = folder / "fireclaw-overseer.service"
        now = file.read_text()
        file.write_text(now.replace("OOMPolicy=continue\n", ""))
        env = {"XDG_CONFIG_HOME": str(folder.parent.parent), "PATH": f"{self.folder}:{os.environ['PATH']}"}
        overseer = Overseer(self.home, "--server", "127.0.0.1", "--port", "1", env=env)
        try:
            eventually(lambda: "of an earlier version" in overseer.log())
        finally:
            self.assertEqual(overseer.end(), 0)
        self.assertEqual(file.read_text(), now)
        self.assertEqual(called.read_text().splitlines(), ["--user daemon-reload"])

    def test_what_is_wrong_would_be_found(self) -> None:
        file = self.write()[0]
        Path(file).write_text(Path(file).read_text().replace("NoNewPrivileges=", "NoNewPriviliges="))
        self.assertIn("NoNewPriviliges", self.verify([file]))

    def test_they_are_as_confined_as_they_were(self) -> None:
        for file in self.write():
            most = MOST_EXPOSED[Path(file).stem]
            done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={most}", file],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-200:] + done.stderr)

    def test_the_server_makes_the_agents_network_within_what_its_unit_leaves_it(self) -> None:
        if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode != 0:
            self.skipTest("no namespaces of its own can be had here")
        _, server, _ = self.write()
        done = subprocess.run([*NAMESPACES, sys.executable, __file__, "serve-confined", server], capture_output=True, text=True,
                              timeout=50)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("irc.fireclaw", done.stdout)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve-confined"]:
        serve_confined(sys.argv[2])
        raise SystemExit(0)
    if shutil.which("systemd-analyze") is None:
        print("skipped: systemd-analyze is not installed")
        raise SystemExit(77)
    unittest.main(verbosity=2)
