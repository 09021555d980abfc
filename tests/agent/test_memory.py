"""Memory and atomic files: what was saved is there, within limits, and whole after any kill."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

from harness import TOP, FolderTest
from bot.base import files
from bot.tools.memory import INDEX_BYTES, INDEX_LINES, LONGEST_NOTE, TOPIC_BYTES, TOPICS, Memory, NotRemembered, slug


class Remembering(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.memory = Memory(self.folder, today=lambda: "2026-01-05")
        self.memory.prepare()

    def test_a_new_workspace_gets_an_empty_memory(self) -> None:
        self.assertEqual(self.read("MEMORY.md"), "# Agent Memory\n")
        self.assertTrue(os.path.isdir(self.path("memory")))
        self.assertEqual(self.memory.index(), "# Agent Memory")

    def test_preparing_again_changes_nothing(self) -> None:
        self.memory.save("likes tea")
        before = self.read("MEMORY.md")
        self.memory.prepare()
        self.assertEqual(self.read("MEMORY.md"), before)

    def test_a_short_note_goes_into_the_index(self) -> None:
        self.assertEqual(self.memory.save("alice likes\n  tea\x00\x1b[31m"), "saved to MEMORY.md")
        self.assertEqual(self.memory.index(), "# Agent Memory\n- [2026-01-05] alice likes tea")
        # Another Memory, as after a restart.
        self.assertIn("tea", Memory(self.folder).index())

    def test_a_note_with_a_topic_gets_a_file_that_the_index_names(self) -> None:
        self.memory.save("first\nsecond", topic="Build [system]!")
        self.memory.save("third", topic="build system")
        self.assertEqual(self.read("memory/build-system.md"),
                         "# Build [system]!\n\n## 2026-01-05\nfirst\nsecond\n\n## 2026-01-05\nthird\n")
        self.assertEqual(self.memory.index().count("(memory/build-system.md)"), 1)
        self.memory.save("only this", topic="build system", replace=True)
        self.assertNotIn("third", self.read("memory/build-system.md"))

    def test_topics_become_harmless_file_names(self) -> None:
        for topic, expected in (("../../etc/passwd", "etc-passwd"), ("A  b_C", "a-b-c"), ("Übung 漢字", "übung-漢字"), (".hidden", "hidden")):
            self.assertEqual(slug(topic), expected)
        self.assertEqual(slug("ab" + "漢" * 500), "ab" + "漢" * 39)
        self.assertEqual(slug("a" * 500), "a" * 48)
        with self.assertRaises(NotRemembered):
            slug("../..")

    def test_limits_are_errors_in_words_and_change_nothing(self) -> None:
        for note, topic in (("", ""), (" \n", ""), ("x" * (LONGEST_NOTE + 1), "t"), ("x" * 500, ""), ("x", "...")):
            with self.assertRaises(NotRemembered):
                self.memory.save(note, topic)
        self.assertEqual(self.read("MEMORY.md"), "# Agent Memory\n")
        self.assertEqual(self.memory.topics(), [])

    def test_the_index_never_outgrows_what_is_loaded(self) -> None:
        saved = 0
        with self.assertRaisesRegex(NotRemembered, "full"):
            for number in range(INDEX_LINES + 5):
                self.memory.save(f"note {number}")
                saved += 1
        self.assertEqual(saved, INDEX_LINES - 1)
        self.assertIn(f"note {saved - 1}", self.memory.index())

    def test_a_topic_never_outgrows_its_limit(self) -> None:
        with self.assertRaisesRegex(NotRemembered, "is full"):
            for _ in range(100):
                self.memory.save("x" * 3000, topic="big")
        self.assertLessEqual(os.path.getsize(self.path("memory/big.md")), TOPIC_BYTES)
        self.memory.save("summary", topic="big", replace=True)

    def test_there_is_a_limit_on_topics(self) -> None:
        for number in range(TOPICS):
            self.write(f"memory/t{number}.md", "x\n")
        with self.assertRaisesRegex(NotRemembered, "topics already"):
            self.memory.save("x", topic="one more")
        self.memory.save("x", topic="t5")

    def test_limits_are_met_exactly(self) -> None:
        # The longest notes, and one character more.
        self.memory.save("x" * 400)
        with self.assertRaisesRegex(NotRemembered, "more than 400 characters needs a topic"):
            self.memory.save("x" * 401)
        self.memory.save("x" * LONGEST_NOTE, topic="long")
        with self.assertRaisesRegex(NotRemembered, f"at most {LONGEST_NOTE} characters; this one has {LONGEST_NOTE + 1}"):
            self.memory.save("x" * (LONGEST_NOTE + 1), topic="long")
        # An index that a note fills to the last byte, and to the byte after it.
        entry = len("- [2026-01-05] note\n")
        for room, full in ((0, False), (-1, True)):
            self.write("MEMORY.md", "ä" + "y" * (INDEX_BYTES - entry - 3 - room) + "\n")
            if full:
                with self.assertRaisesRegex(NotRemembered, "MEMORY.md is full"):
                    self.memory.save("note")
            else:
                self.memory.save("note")
                self.assertEqual(os.path.getsize(self.path("MEMORY.md")), INDEX_BYTES)
                self.assertTrue(self.memory.index().endswith("note"))
        # A topic, likewise.
        entry = len("\n## 2026-01-05\nnote\n")
        for room, full in ((0, False), (-1, True)):
            self.write("MEMORY.md", "[t](memory/full.md)\n")
            self.write("memory/full.md", "ä" + "y" * (TOPIC_BYTES - entry - 3 - room) + "\n")
            if full:
                with self.assertRaisesRegex(NotRemembered, "topic 'full' is full"):
                    self.memory.save("note", topic="full")
            else:
                self.memory.save("note", topic="full")
                self.assertEqual(os.path.getsize(self.path("memory/full.md")), TOPIC_BYTES)
                self.assertIn("full.md", self.memory.search("note"))

    def test_the_last_topic_that_there_is_room_for_is_saved(self) -> None:
        for number in range(TOPICS - 1):
            self.write(f"memory/t{number}.md", "x\n")
        self.memory.save("x", topic="the last")
        with self.assertRaisesRegex(NotRemembered, "topics already"):
            self.memory.save("x", topic="one more")

    def test_an_index_made_by_hand_is_loaded_up_to_its_limits(self) -> None:
        self.write("MEMORY.md", "\n".join(f"line {number}" for number in range(1000)))
        self.assertEqual(len(self.memory.index().split("\n")), INDEX_LINES)
        self.write("MEMORY.md", "\n".join("漢" * 300 for _ in range(100)))
        index = self.memory.index()
        self.assertLessEqual(len(index.encode()), INDEX_BYTES)
        self.assertEqual(set(index), {"漢", "\n"})

    def test_a_memory_that_is_gone_or_a_link_is_empty(self) -> None:
        os.unlink(self.path("MEMORY.md"))
        self.assertEqual(self.memory.index(), "")
        os.symlink("/etc/passwd", self.path("MEMORY.md"))
        self.assertEqual(self.memory.index(), "")
        with self.assertRaisesRegex(NotRemembered, "cannot be written"):
            self.memory.save("must not replace what could not be read")
        self.assertTrue(os.path.islink(self.path("MEMORY.md")))
        self.assertEqual(Memory(self.path("nowhere")).index(), "")
        with self.assertRaisesRegex(NotRemembered, "cannot be written"):
            Memory(self.path("nowhere")).save("x")

    def test_search_finds_by_words_and_ranks_by_how_many(self) -> None:
        self.memory.save("the build uses ninja")
        self.memory.save("ninja turtles", topic="films")
        self.memory.save("The Build server is fast", topic="machines")
        found = self.memory.search("BUILD ninja").split("\n")
        self.assertTrue(found[0].startswith("MEMORY.md:2: "), found)
        self.assertEqual(len(found), 3)
        self.assertIn("memory/films.md:4: ninja turtles", found)
        self.assertEqual(self.memory.search("unicorn"), "nothing found")
        with self.assertRaises(NotRemembered):
            self.memory.search(" ?! ")

    def test_search_shows_the_best_ten_and_says_that_there_are_more(self) -> None:
        for number in range(30):
            self.memory.save(f"apple {number}", topic="fruit")
        found = self.memory.search("apple").split("\n")
        self.assertEqual((len(found), found[-1]), (11, "(20 more lines match)"))


class Surviving(FolderTest):
    def test_a_kill_at_any_moment_leaves_the_memory_whole(self) -> None:
        script = (
            f"import sys; sys.path.insert(0, {os.path.join(TOP, 'agent')!r})\n"
            "from bot.tools.memory import Memory\n"
            "memory = Memory(sys.argv[1]); memory.prepare(); print('go', flush=True)\n"
            "number = 0\n"
            "while True:\n"
            "    memory.save(f'entry {number} ' + 'x' * 2000, topic='log', replace=number % 20 == 0)\n"
            "    if number < 150: memory.save(f'note {number} end')\n"
            "    print(number, flush=True); number += 1\n"
        )
        for round_number in range(12):
            with subprocess.Popen([sys.executable, "-c", script, self.folder], stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                self.assertEqual(process.stdout.readline(), "go\n")
                confirmed = -1
                for _ in range(round_number):
                    confirmed = int(process.stdout.readline())
                threading.Timer(0.0005 * round_number, process.send_signal, (signal.SIGKILL,)).start()
                confirmed = max([confirmed, *(int(line) for line in process.stdout.read().splitlines())])
            index = self.read("MEMORY.md")
            self.assertTrue(index.startswith("# Agent Memory\n") and index.endswith("\n"))
            numbers = [int(match) for match in re.findall(r"note (\d+) end\n", index)]
            self.assertEqual(numbers, list(range(len(numbers))))
            # What was confirmed is there; at most the one at work is more.
            self.assertIn(len(numbers), (min(150, confirmed + 1), min(150, confirmed + 2)))
            if os.path.exists(self.path("memory/log.md")):
                topic = self.read("memory/log.md")
                self.assertTrue(all(len(line) in (0, 5, 13) or re.fullmatch(r"entry \d+ x{2000}", line) for line in topic.split("\n")))
            Memory(self.folder).prepare()
            self.assertEqual([name for name in os.listdir(self.folder) if name.endswith(".tmp")], [])
            self.assertEqual([name for name in os.listdir(self.path("memory")) if name.endswith(".tmp")], [])
            os.unlink(self.path("MEMORY.md"))

    def test_a_reader_never_sees_half_a_file(self) -> None:
        path, ending, seen = self.path("file"), threading.Event(), set()
        files.atomic_write(path, b"a" * 50000)

        def replace() -> None:
            while not ending.is_set():
                for letter in (b"a", b"b"):
                    files.atomic_write(path, letter * 50000, durable=False)

        thread = threading.Thread(target=replace)
        thread.start()
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            with open(path, "rb") as file:
                data = file.read()
            seen.add((len(data), data.strip(data[:1])))
        ending.set()
        thread.join()
        self.assertEqual(seen, {(50000, b"")})

    def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(self) -> None:
        os.mkdir(self.path("taken"))
        with self.assertRaises(OSError):
            files.atomic_write(self.path("taken"), b"x")
        self.assertEqual(os.listdir(self.folder), ["taken"])

    def test_leftovers_are_told_from_other_hidden_files(self) -> None:
        for name in (".MEMORY.md.0123456789ab.tmp", ".keep.tmp", "a.tmp", ".x.0123456789ag.tmp"):
            self.write(name, "")
        with files.open_folder(self.folder) as folder:
            files.remove_leftovers(folder)
        self.assertEqual(sorted(os.listdir(self.folder)), [".keep.tmp", ".x.0123456789ag.tmp", "a.tmp"])


if __name__ == "__main__":
    import unittest

    unittest.main()
