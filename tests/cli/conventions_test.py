"""How the programs behave in a terminal, in a pipe and in scripts: help, mistakes, JSON, colour, tables, completion, the
manual. Starts no machines."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import tempfile
import termios
import unittest
from pathlib import Path
from typing import Callable, Optional

import shells

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
SHARE = Path(os.environ["FIRECLAW_SHARE"])
SOURCE = Path(os.environ["FIRECLAW_SOURCE"])
LIMIT_SECONDS = 60
PLAIN = {name: value for name, value in os.environ.items()
         if name not in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "FIRECLAW_HOME", "FIRECLAW_NET")}
PLAIN |= {"TERM": "xterm", "LC_ALL": "C.UTF-8", "FIRECLAW_NET": "none"}

# These print nothing but what they do to standard error, or become something else.
WITHOUT_JSON = {("overseer",), ("irc",), ("overseer", "irc"), ("mcp",), ("gateway", "serve")}


class Manners(unittest.TestCase):
    home: Path

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-manners-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.home = cls.folder / "home"

    @classmethod
    def environment(cls, **more: str) -> dict[str, str]:
        return {**PLAIN, "FIRECLAW_HOME": str(cls.home), "HOME": str(cls.folder), **more}

    @classmethod
    def fireclaw(cls, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([FIRECLAW, *words], capture_output=True, text=True, timeout=LIMIT_SECONDS,
                              stdin=subprocess.DEVNULL, env=cls.environment(**more), check=False)

    @classmethod
    def on_terminal(cls, *words: str, columns: int = 80, **more: str) -> str:
        """What it writes to a terminal that is so wide."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        program = subprocess.Popen([FIRECLAW, *words], stdin=slave, stdout=slave, stderr=slave,
                                   env=cls.environment(**more))
        os.close(slave)
        out = b""
        try:
            while piece := os.read(master, 65536):
                out += piece
        except OSError:  # the last of them has closed it
            pass
        os.close(master)
        program.wait(LIMIT_SECONDS)
        return out.decode().replace("\r\n", "\n")

    @classmethod
    def completions(cls, *words: str) -> list[str]:
        said = cls.fireclaw("__complete", *words)
        assert said.returncode == 0 and said.stderr == "", said.stderr
        return [line.split("\t")[0] for line in said.stdout.splitlines()[1:]]

    @classmethod
    def commands(cls, *words: str) -> list[tuple[str, ...]]:
        """All commands below these words, groups as well."""
        found = []
        for name in cls.completions(*words, ""):
            found += [(*words, name), *cls.commands(*words, name)]
        return found


class Help(Manners):
    def test_every_command_has_help_with_a_summary_a_usage_and_examples(self) -> None:
        commands = self.commands()
        self.assertGreater(len(commands), 40)
        for command in [(), *commands]:
            with self.subTest(command=command):
                said = self.fireclaw(*command, "--help")
                self.assertEqual((said.returncode, said.stderr), (0, ""))
                self.assertRegex(said.stdout, r"\A[A-Z].*\n\nUsage: fireclaw")
                self.assertIn("\nExamples:\n  ", said.stdout)
                prose = said.stdout.partition("\nExamples:")[0]
                self.assertEqual([line for line in prose.splitlines() if len(line) > 80 and "," not in line], [])

    def test_help_is_as_wide_as_the_terminal(self) -> None:
        narrow = self.on_terminal("run", "--help", columns=60, NO_COLOR="1")
        wide = self.on_terminal("run", "--help", columns=120, NO_COLOR="1")
        self.assertGreater(len(narrow.splitlines()), len(wide.splitlines()))
        text = wide.partition("\nExamples:")[0]
        self.assertTrue(any(len(line) > 100 for line in text.splitlines()))
        self.assertTrue(all(len(line) <= 120 for line in text.splitlines()))

    def test_every_command_that_prints_something_prints_json_if_asked(self) -> None:
        for command in self.commands():
            if self.completions(*command, "") or command in WITHOUT_JSON:
                continue
            with self.subTest(command=command):
                self.assertIn("--json", self.completions(*command, "--j"))

    def test_the_version_is_the_librarys(self) -> None:
        header = (SOURCE / "include/fireclaw/version.hpp").read_text()
        version = re.search(r'VERSION_STRING "(.+)"', header).group(1)
        self.assertEqual(self.fireclaw("--version").stdout, f"fireclaw {version}\n")
        self.assertEqual(self.fireclaw("overseer", "--version").stdout, f"fireclaw {version}\n")


class Mistakes(Manners):
    def check(self, words: list[str], *parts: str) -> None:
        with self.subTest(words=words):
            said = self.fireclaw(*words)
            self.assertEqual((said.returncode, said.stdout), (125, ""))
            self.assertEqual(said.stderr.count("\n"), 1, said.stderr)
            for part in parts:
                self.assertIn(part, said.stderr)

    def test_what_is_missing_is_named(self) -> None:
        self.check([], "a command is missing", "see: fireclaw --help")
        self.check(["image"], "needs a command: build, list, remove", "see: fireclaw image --help")
        self.check(["agent", "start"], "needs TEMPLATE", "fireclaw agent templates")
        self.check(["image", "list", "--home"], "--home needs a value: DIR")
        self.check(["run", "--timeout"], "--timeout needs a value: TIME")

    def test_what_is_like_a_mistyped_word_is_suggested(self) -> None:
        self.check(["imag", "list"], "no command 'fireclaw imag'", "did you mean 'image'?")
        self.check(["agent", "lgos"], "did you mean 'logs'?", "see: fireclaw agent --help")
        self.check(["image", "list", "--jsn"], "no option '--jsn'", "did you mean '--json'?")
        self.check(["run", "--hoem=x", "true"], "no option '--hoem'", "did you mean '--home'?")
        self.check(["overseer", "sttaus"], "did you mean 'status'?")
        self.check(["quux"], "no command 'fireclaw quux'; see")
        self.check(["-x"], "no option '-x'; see")

    def test_values_that_cannot_be_are_quoted(self) -> None:
        self.check(["run", "--cpus", "abc", "true"], "'abc'", "--cpus", "a whole number")
        self.check(["image", "list", "extra"], "unexpected argument 'extra' of 'fireclaw image list'")
        self.check(["overseer", "--port", "0"], "--port: value 0 not in range")
        self.check(["run", "--memory", "5X", "true"], "'5X'", "units")
        self.check(["--home", "", "image", "list"], "--home: must not be empty")

    def test_what_mcp_cannot_serve_with_is_refused_before_it_serves(self) -> None:
        # With the ends of their ranges.
        for option, least, most in (("machines", 1, 1024), ("cpus", 1, 32), ("max-cpus", 1, 32), ("snapshots", 0, 1024),
                                    ("calls", 1, 256), ("max-output", 1, 65536), ("max-file", 1, 65536)):
            for value in (least - 1, most + 1):
                self.check(["mcp", f"--{option}={value}"], f"--{option}: value {value} not in range {least} to {most}")
            for value in (least, most):
                self.serves(f"--{option}={value}")
        self.check(["mcp", "--timeout", "0"], "--timeout must be longer than 0")
        self.serves("--timeout", "0.001")
        for option, value in (("timeout", "soon"), ("max-timeout", "5x"), ("memory", "5X"), ("max-memory", "much")):
            self.check(["mcp", f"--{option}", value], f"'{value}'")
        self.check(["mcp", "--net", "lan"], "'lan'")
        for words in (["--egress", "none"], ["--allow", "example.org"], ["--allow-http", "example.org"], ["--no-services"]):
            for network in ("none", "user", "services"):
                self.check(["mcp", "--net", network, *words], f"go with --net nat, not {network}")
            self.check(["mcp", *words], "go with --net nat, not none")
            self.serves("--net", "nat", *words)
        for network in ("none", "user", "nat", "services"):
            self.serves("--net", network)
        self.check(["mcp", "surplus"], "'surplus'")
        self.check(["mcp", "--image", "none"], "no image named 'none'")

    def serves(self, *words: str) -> None:
        """Until its input ends, which it has already."""
        with self.subTest(words=words):
            said = self.fireclaw("mcp", *words)
            self.assertEqual((said.returncode, said.stdout, said.stderr), (0, "", ""))

    def test_a_home_folder_that_is_not_there_is_not_made_by_looking(self) -> None:
        nowhere = self.folder / "nowhere"
        for words in (["image", "list"], ["vm", "list"], ["run", "true"], ["gc"], ["agent", "status", "x"]):
            self.check(["--home", str(nowhere), *words], str(nowhere), "fireclaw setup")
        self.fireclaw("__complete", "--home", str(nowhere), "image", "remove", "")
        self.assertFalse(nowhere.exists())

    def test_with_json_a_failure_is_a_document_too(self) -> None:
        for words, code in ((["image", "list", "--home", "/nowhere", "--json"], "not_found"),
                            (["imag", "--json"], "invalid_argument"),
                            (["overseer", "status", "--home", "/nowhere", "--json"], "not_found")):
            with self.subTest(words=words):
                said = self.fireclaw(*words)
                self.assertEqual(said.returncode, 125)
                error = json.loads(said.stdout)["error"]
                self.assertEqual(error["code"], code)
                self.assertIn(error["message"], said.stderr)


class Habits(Manners):
    #: Would download.
    NOT_TRIED = ("image build",)

    def commands_of_table(self) -> list[str]:
        """What docs/docker.md says to type; options alone are those of a run."""
        page = (SOURCE / "docs/docker.md").read_text(encoding="utf-8")
        rows = [line.strip("|").split("|")[2] for line in page.splitlines() if line.startswith("|")]
        spans = [span.removeprefix("fireclaw ") for row in rows for span in re.findall("`([^`]+)`", row)]
        return [span if not span.startswith("-") else f"run {span} true" for span in spans if span not in ("--rm", "--chown", "--mode")]

    def test_what_users_of_docker_are_told_to_type_is_understood(self) -> None:
        commands = self.commands_of_table()
        self.assertGreater(len(commands), 35)
        for command in commands:
            if command.startswith(self.NOT_TRIED):
                continue
            with self.subTest(command=command):
                words = command.replace("IMAGE", "busybox").split()
                said = self.fireclaw("--home", str(self.folder / "habits"), *words, FIRECLAW_NET="")
                # There is no home folder, or nothing in it; but never a word that is not understood.
                if said.returncode != 0:
                    self.assertRegex(said.stderr, "there is no folder|^fireclaw: no |setup")
                    self.assertNotIn("--help", said.stderr)


class Shown(Manners):
    """Tables and colour."""

    long_name = "a-workspace-with-quite-a-long-name-that-says-what-is-in-it"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for name in ("notes", cls.long_name):
            made = cls.fireclaw("workspace", "create", name, "--size", "16", "--json")
            assert made.returncode == 0, made.stderr
            assert json.loads(made.stdout)["size_bytes"] == 16 << 20

    def test_a_table_fits_the_terminal_and_is_whole_in_a_pipe(self) -> None:
        for columns in (72, 100):
            lines = self.on_terminal("workspace", "list", columns=columns, NO_COLOR="1").splitlines()
            self.assertEqual(len(lines), 3)
            self.assertLessEqual(max(map(len, lines)), columns)
            self.assertIn("…", "".join(lines))
        self.assertIn(self.long_name, self.on_terminal("workspace", "list", columns=200))
        piped = self.fireclaw("workspace", "list", COLUMNS="40").stdout
        self.assertIn(self.long_name, piped)
        self.assertNotIn("…", piped)

    def test_columns_says_how_wide_a_terminal_is(self) -> None:
        lines = self.on_terminal("workspace", "list", columns=200, COLUMNS="72", NO_COLOR="1").splitlines()
        self.assertLessEqual(max(map(len, lines)), 72)

    def test_colour_is_for_terminals_unless_it_is_not_wanted(self) -> None:
        def coloured(text: str) -> bool:
            return "\x1b[" in text

        self.assertTrue(coloured(self.on_terminal("workspace", "list")))
        self.assertTrue(coloured(self.on_terminal("doctor")))
        self.assertTrue(coloured(self.on_terminal("nonsense")))
        self.assertTrue(coloured(self.on_terminal("run", "--help")))
        for words in (["workspace", "list"], ["doctor"], ["nonsense"], ["run", "--help"]):
            self.assertFalse(coloured(self.on_terminal(*words, NO_COLOR="1")), words)
            self.assertFalse(coloured(self.on_terminal(*words, TERM="dumb")), words)
            piped = self.fireclaw(*words)
            self.assertFalse(coloured(piped.stdout + piped.stderr), words)
            forced = self.fireclaw(*words, CLICOLOR_FORCE="1")
            self.assertTrue(coloured(forced.stdout + forced.stderr), words)
            self.assertFalse(coloured(self.on_terminal(*words, NO_COLOR="1", CLICOLOR_FORCE="1")), words)

    def test_json_is_never_coloured_or_cut(self) -> None:
        shown = self.on_terminal("workspace", "list", "--json", columns=20, CLICOLOR_FORCE="1")
        self.assertEqual({one["name"] for one in json.loads(shown)}, {"notes", self.long_name})

    def test_a_commands_work_is_told_in_json(self) -> None:
        made = self.fireclaw("workspace", "create", "copy", "--json")
        self.assertEqual(json.loads(made.stdout)["name"], "copy")
        removed = self.fireclaw("workspace", "remove", "copy", "--json")
        self.assertEqual(json.loads(removed.stdout), {"removed": ["copy"]})
        for name in ("one", "two"):
            self.fireclaw("workspace", "create", name)
        several = self.fireclaw("workspace", "remove", "one", "nobody", "two", "--json")
        self.assertEqual((several.returncode, several.stderr.count("\n"), json.loads(several.stdout)), (125, 1, {"removed": ["one", "two"]}))
        self.assertIn("nobody", several.stderr)
        for kind in ("snapshot", "image"):
            neither = self.fireclaw(kind, "remove", "nobody", "none", "--json")
            self.assertEqual((neither.returncode, neither.stderr.count("\n"), json.loads(neither.stdout)), (125, 2, {"removed": []}))
        both = self.fireclaw("workspace", "export", "notes", "-", "--json")
        self.assertEqual((both.returncode, json.loads(both.stdout)["error"]["code"]), (125, "invalid_argument"))
        self.assertEqual(json.loads(self.fireclaw("gc", "--json").stdout)["removed"], [])


class Completion(Manners):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for name in ("notes", "novel"):
            made = cls.fireclaw("workspace", "create", name, "--size", "16")
            assert made.returncode == 0, made.stderr
        (cls.folder / "novel.tar").touch()
        (cls.folder / "nowhere").mkdir()

    def check_shell(self, ask: Callable[[str, Path, dict[str, str], Path], list[str]], script: str) -> None:
        environment = self.environment(PATH=f"{Path(FIRECLAW).parent}:{os.environ['PATH']}", PS1="$ ")

        def words(line: str) -> list[str]:
            # bash's way of putting all in says nothing of folders.
            return sorted(word.rstrip("/") for word in ask(line, SHARE / script, environment, self.folder))

        self.assertEqual(words("fireclaw imag"), ["image"])
        self.assertEqual(words("fireclaw image "), ["build", "list", "remove"])
        self.assertEqual(words("fireclaw workspace show no"), ["notes", "novel"])
        self.assertEqual(words("fireclaw run --net "), ["nat", "none", "services", "user"])
        self.assertEqual(words("fireclaw run --copy-"), ["--copy-in", "--copy-limit", "--copy-out"])
        self.assertEqual(words("fireclaw workspace import novel n"), ["novel.tar", "nowhere"])
        self.assertEqual(words("fireclaw image build x --dir n"), ["nowhere"])
        self.assertEqual(words("fireclaw overseer st"), ["status"])
        # "=" ends a word for bash alone.
        self.assertEqual([word.rpartition("=")[2] for word in words("fireclaw run --net=us")], ["user"])

    def test_bash_completes_lines(self) -> None:
        self.check_shell(shells.bash, "bash-completion/completions/fireclaw")

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_completes_lines(self) -> None:
        self.check_shell(shells.zsh, "zsh/site-functions/_fireclaw")

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish_completes_lines(self) -> None:
        self.check_shell(shells.fish, "fish/vendor_completions.d/fireclaw.fish")

    def test_a_line_is_read_as_the_program_would_read_it(self) -> None:
        self.assertEqual(self.completions("--home", str(self.folder / "other"), "workspace", "show", ""), [])
        self.assertEqual(self.completions("workspace", "show", "--json", "not"), ["notes"])
        self.assertEqual(self.completions("workspace", "remove", "notes", "nov"), ["novel"])
        self.assertEqual(self.completions("workspace", "show", "notes", ""), [])
        self.assertEqual(self.completions("run", "--", ""), [])
        self.assertNotIn("--json", self.completions("workspace", "show", "--json", "--"))
        self.assertIn("--env", self.completions("run", "-e", "A=b", "--"))
        self.assertEqual(self.completions("run", "-it5", "--time"), [])


class Manual(Manners):
    def page(self, name: str) -> str:
        section = name.rpartition(".")[2]
        shown = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=200", SHARE / f"man/man{section}" / name],
                               capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True).stdout
        return re.sub(".\b", "", shown)

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_the_pages_are_sound(self) -> None:
        pages = sorted(SHARE.glob("man/man*/*"))
        self.assertGreater(len(pages), 12)
        said = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True,
                              timeout=LIMIT_SECONDS, check=False)
        self.assertEqual((said.returncode, said.stdout), (0, ""))

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_every_command_and_option_is_in_the_manual(self) -> None:
        pages: dict[str, str] = {}
        for command in self.commands():
            name = f"fireclaw-{command[0]}.1"
            page = pages.setdefault(name, self.page(name))
            with self.subTest(command=command):
                if not self.completions(*command, "") or command == ("bench",):
                    self.assertRegex(page, rf"fireclaw (overseer )?{' '.join(command)}\b")
                for option in self.completions(*command, "--"):
                    # What all commands take is on the page of the program.
                    if option not in ("--home", "--engine", "--firecracker", "--qemu", "--config", "--help"):
                        self.assertIn(option, page)
        front = self.page("fireclaw.1")
        for word in (*self.completions(""), "FIRECLAW_HOME", "NO_COLOR", "125", "--engine", "--home"):
            self.assertIn(word, front)

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_every_field_that_is_read_is_in_the_manual(self) -> None:
        page = self.page("fireclaw-config.5")
        fields = set(re.findall(r'\{"(\w+)",\s', (SOURCE / "libfireclaw/state/settings/bot_fields.cpp").read_text()))
        fields |= set(re.findall(r'name == "(\w+)"', (SOURCE / "libfireclaw/state/settings/templates.cpp").read_text()))
        for file in ("config", "network"):
            text = (SOURCE / f"libfireclaw/state/settings/{file}.cpp").read_text()
            only = re.findall(r"(?:value|section)\.only\(\{(.*?)\}\)", text, re.DOTALL)[-1]
            fields |= set(re.findall(r'"(\w+)"', only))
        for only in re.findall(r"section\.only\(\{(.*?)\}\)", (SOURCE / "libfireclaw/state/settings/sandbox.cpp").read_text()):
            fields |= set(re.findall(r'"(\w+)"', only))
        self.assertGreater(len(fields), 60)
        self.assertEqual([field for field in sorted(fields) if not re.search(rf"\b{field}\b", page)], [])
        settings = (SOURCE / "apps/overseer/settings.cpp").read_text()
        wanted = set(re.findall(r'\{"(\w+)", \[', settings))
        self.assertGreater(len(wanted), 20)
        overseer = self.page("fireclaw-overseer.1")
        self.assertEqual([field for field in sorted(wanted) if not re.search(rf"\b{field}\b", overseer)], [])


if __name__ == "__main__":
    unittest.main()
