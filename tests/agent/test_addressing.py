"""Who is meant, and the words that need no model."""

import unittest

import harness  # noqa: F401
from bot.people import addressing


class Addressed(unittest.TestCase):
    def test_forms_of_address(self) -> None:
        for text, expected in (
            ("worker: hello", "hello"), ("worker, hello", "hello"), ("WORKER: hi", "hi"), ("worker:hi", "hi"), ("worker:", ""), ("worker; hi", "hi"),
            ("@worker hi", "hi"), ("@worker: hi", "hi"), ("@worker", ""), ("hey @worker, look", "hey @worker, look"),
            ("ask @worker", "ask @worker"), ("worker : hello", "hello"), ("worker：你好", "你好"),
            ("worker，你好", "你好"), ("worker、こんにちは", "こんにちは"), ("worker، مرحبا", "مرحبا"), ("@worker，你好", "你好"),
        ):
            self.assertEqual(addressing.question(text, "worker", "mention"), expected, text)

    def test_not_addressed(self) -> None:
        for text in ("hello", "worker is nice", "workers: hi", "coworker: hi", "worker_: hi", "@workers hi", "me@worker hi",
                     "mail@worker.org", "the worker: a film", "", "worker :)", "worker :-)"):
            self.assertIsNone(addressing.question(text, "worker", "mention"), text)

    def test_nicks_with_odd_letters(self) -> None:
        self.assertEqual(addressing.question("bot[1]: x", "bot[1]", "mention"), "x")
        self.assertEqual(addressing.question("a^b|c: x", "a^b|c", "mention"), "x")
        self.assertIsNone(addressing.question("bot1: x", "bot[1]", "mention"))

    def test_a_trigger_word_stands_at_the_beginning_and_alone(self) -> None:
        self.assertEqual(addressing.question("!ask what", "worker", "!ask"), "what")
        self.assertEqual(addressing.question("AI: what", "worker", "ai"), "what")
        self.assertEqual(addressing.question("ai，你好", "worker", "ai"), "你好")
        self.assertIsNone(addressing.question("aim high", "worker", "ai"))
        self.assertEqual(addressing.question("?why", "worker", "?"), "why")
        self.assertIsNone(addressing.question("why?", "worker", "?"))
        self.assertEqual(addressing.question("worker: still", "worker", "!ask"), "still")

    def test_the_trigger_all_takes_every_line(self) -> None:
        self.assertEqual(addressing.question("anything", "worker", "all"), "anything")

    def test_commands_are_the_whole_text(self) -> None:
        for text, expected in (("more", "more"), ("More!", "more"), ("please leave", "leave"), ("leave", "leave"), ("stop.", "stop"), ("stop。", "stop"),
                               ("reset", "reset"), ("help?", "help"), ("help؟", "help")):
            self.assertEqual(addressing.command(text), (expected, ""), text)
        self.assertEqual(addressing.command("leave #chan"), ("leave", "#chan"))
        for text in ("more coffee please", "leave me alone", "how do I stop a process", "leave #a #b", ""):
            self.assertEqual(addressing.command(text), ("", ""), text)

    def test_a_line_that_names_its_reader(self) -> None:
        for text in ("bob: hi", "@bob hi", "@bob, hi", "josé: hi", "bob/discord: hi", "@Зоя, hi"):
            self.assertTrue(addressing.begins_with_address(text), text)
        for text in ("hi bob: x", "http://x y", "12:30 is late", "a:b", "plain", "bob:"):
            self.assertFalse(addressing.begins_with_address(text), text)


if __name__ == "__main__":
    unittest.main()
