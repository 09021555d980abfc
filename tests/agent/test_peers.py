"""Who is a bot, and how two bots are kept from talking for ever."""

import random
import unittest
from typing import List, Tuple
from unittest import mock

from harness import make_config
from bot.irc.events import PeerInfo, Text
from bot.people.loops import LoopBreaker
from bot.people.peers import Book, Guard, Verdict


def said(source: str = "bob!b@h", bot: bool = False) -> Text:
    return Text(source, "#a", False, "text", False, bot)


class Knowing(unittest.TestCase):
    def test_bots_are_known_by_configuration(self) -> None:
        book = Book(make_config(peers={"bots": ["coder*", "*!*@bots.example"]}))
        self.assertTrue(book.is_bot(said("Coder2!x@y"), 0))
        self.assertTrue(book.is_bot(said("any!x@bots.example"), 0))
        self.assertIsNone(book.is_bot(said("alice!x@y"), 0))

    def test_bots_are_known_by_the_mark_of_the_server(self) -> None:
        book = Book(make_config())
        self.assertTrue(book.is_bot(said("bob!b@h", bot=True), 0))
        # The mark is remembered for the lines that come without it.
        self.assertTrue(book.is_bot(said("BOB!b@h"), 10))

    def test_bots_are_known_by_their_real_name_or_mode(self) -> None:
        book = Book(make_config())
        self.assertTrue(book.learn(PeerInfo("a", True, False, "fireclaw agent coder"), 0))
        self.assertTrue(book.learn(PeerInfo("b", True, True, "Bob"), 0))
        self.assertFalse(book.learn(PeerInfo("c", True, False, "Carol"), 0))
        self.assertFalse(book.learn(PeerInfo("d", False, False, ""), 0))
        self.assertEqual([book.is_bot(said(f"{nick}!x@y"), 1) for nick in "abcde"], [True, True, False, False, None])

    def test_knowledge_ends_with_the_hour_the_nick_or_the_pattern(self) -> None:
        book = Book(make_config())
        book.learn(PeerInfo("a", True, False, "fireclaw agent x"), 0)
        self.assertIs(book.is_bot(said("a!x@y"), 3599.9), True)
        self.assertIsNone(book.is_bot(said("a!x@y"), 3600))
        book.learn(PeerInfo("a", True, False, "fireclaw agent x"), 0)
        book.forget("A")
        self.assertIsNone(book.is_bot(said("a!x@y"), 1))
        book.learn(PeerInfo("a", True, False, "fireclaw agent x"), 0)
        book.reconfigure(make_config(peers={"realname": ""}))
        self.assertIsNone(book.is_bot(said("a!x@y"), 1))

    def test_it_does_not_grow_for_ever(self) -> None:
        book = Book(make_config())
        for number in range(2000):
            book.learn(PeerInfo(f"n{number}", True, False, ""), 0)
        known = sum(book.is_bot(said(f"n{number}!x@y"), 1) is not None for number in range(2000))
        self.assertEqual(known, 512)
        # Those of whom it heard last.
        self.assertEqual([book.is_bot(said(f"n{number}!x@y"), 1) is not None for number in (0, 1487, 1488, 1999)], [False, False, True, True])


class Breaking(unittest.TestCase):
    def turns(self, gap: float, private: bool = False, text: str = "{turn} things") -> int:
        """How often somebody is answered who says something so many seconds after each answer; at most 60 times."""
        breaker, now = LoopBreaker(), 0.0
        for turn in range(60):
            words = text.format(turn="".join("abcdefghij"[int(digit)] for digit in str(turn)))
            if breaker.heard("#a", "eliza", words, private, now):
                return turn
            now += 5
            breaker.spoke("#a", "eliza", now)
            now += gap
        return 60

    def test_who_answers_at_once_is_found_after_four_turns_and_who_answers_soon_after_nine(self) -> None:
        self.assertEqual(self.turns(0.1), 4)
        self.assertEqual(self.turns(0.75), 4)
        self.assertEqual(self.turns(0.85), 9)
        self.assertEqual(self.turns(7.5), 9)
        self.assertEqual(self.turns(7.5, private=True), 12)

    def test_the_last_instant_of_each_limit_counts(self) -> None:
        with mock.patch.object(LoopBreaker, "AT_ONCE_S", 0.5):
            self.assertEqual((self.turns(0.5), self.turns(0.50001)), (4, 9))
        self.assertEqual((self.turns(8.0), self.turns(8.00001)), (9, 60))
        for between, found in ((3.0, True), (3.00001, False)):
            breaker = LoopBreaker()
            for turn in range(9):
                breaker.spoke("#a", "eliza", 100.0 * turn)
                stopped = [breaker.heard("#a", "eliza", f"{'x' * turn}{line}", False, 100.0 * turn + 1 + between * line) for line in (0, 1)]
            self.assertIs(stopped[1], found)

    def test_who_takes_the_time_to_read_is_not_found(self) -> None:
        self.assertEqual(self.turns(8.5), 60)
        self.assertEqual(self.turns(30.0, private=True), 60)

    def test_the_same_words_again_and_again_are_found_however_slow(self) -> None:
        self.assertEqual(self.turns(60.0, text="Sorry, I did not understand that."), 6)
        self.assertEqual(self.turns(601.0, text="Good morning!"), 60)

    def test_numbers_and_marks_do_not_make_other_words(self) -> None:
        breaker = LoopBreaker()
        heard = []
        for turn in range(7):
            heard.append(breaker.heard("#a", "eliza", f"Ticket {turn} is {'open' if turn else 'OPEN'}!", False, turn * 60.0))
            breaker.spoke("#a", "eliza", turn * 60.0 + 1)
        self.assertEqual(heard, [False] * 6 + [True])

    def test_who_does_not_wait_for_answers_is_not_answering(self) -> None:
        breaker = LoopBreaker()
        breaker.spoke("#a", "alice", 0.0)
        self.assertEqual([breaker.heard("#a", "alice", f"{'x' * turn}", False, 0.1 * turn) for turn in range(1, 30)], [False] * 29)

    def test_a_stop_ends_with_ten_minutes_of_silence_or_a_word_and_holds_in_one_place_only(self) -> None:
        breaker = LoopBreaker()
        for turn in range(6):
            breaker.heard("#a", "eliza", "x" * turn, False, float(turn))
            breaker.spoke("#a", "eliza", turn + 0.5)
        self.assertTrue(breaker.heard("#a", "eliza", "y", False, 7.0))
        self.assertFalse(breaker.heard("#b", "eliza", "y", False, 7.0))
        self.assertFalse(breaker.heard("#a", "alice", "y", False, 7.0))
        # What is said in vain begins the silence again.
        self.assertTrue(breaker.heard("#a", "eliza", "y", False, 606.9))
        self.assertTrue(breaker.stopped("#a", "eliza"))
        self.assertFalse(breaker.heard("#a", "eliza", "y", False, 606.9 + 600.0))
        for turn in range(6):
            breaker.heard("#a", "eliza", "x" * turn, False, 2000.0 + turn)
            breaker.spoke("#a", "eliza", 2000.5 + turn)
        breaker.forgive("#a", "eliza", "reset")
        self.assertFalse(breaker.heard("#a", "eliza", "y", False, 2010.0))

    def test_a_program_that_asks_for_a_new_beginning_each_time_gets_one(self) -> None:
        breaker, answered = LoopBreaker(), 0
        for turn in range(100):
            now = float(turn)
            breaker.forgive("#a", "eliza", "reset")
            if not breaker.heard("#a", "eliza", "reset", False, now):
                answered += 1
                breaker.spoke("#a", "eliza", now + 0.5)
        self.assertLessEqual(answered, 8)

    def test_an_answer_of_several_lines_is_one_answer(self) -> None:
        breaker, found = LoopBreaker(), 0
        for turn in range(20):
            now = 10.0 * turn
            lines = [breaker.heard("#a", "eliza", f"{'x' * turn} {line}", False, now + 0.01 * line) for line in (1, 2, 3)]
            found += any(lines)
            breaker.spoke("#a", "eliza", now + 9.5)
        self.assertEqual(found, 16)

    def test_who_is_in_a_loop_does_not_count_as_a_human_for_others(self) -> None:
        guard = Guard(make_config(peers={"max_turns": 1}, limits={"turns_per_minute": 100}))
        for turn in range(6):
            verdict = guard.judge("#a", "eliza", False, float(turn), False, "x" * turn)
            guard.spoke("#a", "eliza", turn + 0.9)
        self.assertIs(verdict, Verdict.LOOP)
        guard.judge("#a", "bob", True, 10.0)
        guard.human_spoke("#a", "eliza")
        self.assertIs(guard.judge("#a", "bob", True, 100.0), Verdict.ENOUGH)
        guard.human_spoke("#a", "alice")
        self.assertIs(guard.judge("#a", "bob", True, 200.0), Verdict.ANSWER)

    def test_who_lets_an_answer_pass_begins_to_count_again(self) -> None:
        breaker = LoopBreaker()
        for turn in range(20):
            now = 100.0 * turn
            self.assertFalse(breaker.heard("#a", "alice", "same words", False, now))
            breaker.spoke("#a", "alice", now + 5)
            self.assertFalse(breaker.heard("#a", "alice", f"{'y' * turn}", False, now + 5.1))
            # Said again, long before it is answered: this is somebody who does not wait.
            self.assertFalse(breaker.heard("#a", "alice", "same words", False, now + 8.2))
            breaker.spoke("#a", "alice", now + 9)

    def test_the_count_begins_at_nothing(self) -> None:
        breaker = LoopBreaker()
        for turn in range(4):
            self.assertFalse(breaker.heard("#a", "eliza", "x" * turn, False, float(turn)), turn)
            breaker.spoke("#a", "eliza", turn + 0.5)
        self.assertTrue(breaker.heard("#a", "eliza", "yyyy", False, 4.0))
        for turn in range(9):
            self.assertFalse(breaker.heard("#b", "eliza", "x" * turn, False, 10.0 * turn), turn)
            breaker.spoke("#b", "eliza", 10.0 * turn + 5)
        self.assertTrue(breaker.heard("#b", "eliza", "yyyy", False, 90.0))
        self.assertFalse(breaker.heard("#b", "eliza", "yyyy", False, 690.0))

    def test_it_remembers_only_so_many(self) -> None:
        breaker = LoopBreaker()
        for number in range(2000):
            breaker.spoke("#a", f"n{number}", 0.0)
        self.assertEqual(len(breaker._all), 512)


class Guarding(unittest.TestCase):
    def test_a_cooldown_is_over_in_its_last_instant_and_not_before(self) -> None:
        guard = Guard(make_config(peers={"cooldown_s": 10.0}))
        guard.judge("#a", "bob", True, 0.0)
        self.assertIs(guard.judge("#a", "bob", True, 10.0 - 1e-6), Verdict.COOLDOWN)
        self.assertIs(guard.judge("#a", "bob", True, 10.0), Verdict.ANSWER)
        guard.answered("bob", 20.0)
        self.assertIs(guard.judge("#a", "bob", True, 30.0 - 1e-6), Verdict.COOLDOWN)
        self.assertIs(guard.judge("#a", "bob", True, 30.0), Verdict.ANSWER)

    def test_another_configuration_counts_from_the_next_question(self) -> None:
        guard = Guard(make_config(peers={"cooldown_s": 10.0}))
        guard.judge("#a", "bob", True, 0.0)
        guard.reconfigure(make_config(peers={"cooldown_s": 2.0}))
        self.assertIs(guard.judge("#a", "bob", True, 3.0), Verdict.ANSWER)

    def test_the_rates_of_many_are_not_kept_for_ever(self) -> None:
        guard = Guard(make_config())
        for number in range(2000):
            guard.judge("#a", f"n{number}", False, 0.0)
        self.assertEqual(len(guard._rates), 512)

    def test_of_many_who_ask_those_are_forgotten_who_have_asked_longest_ago(self) -> None:
        guard = Guard(make_config(limits={"turns_per_minute": 1}))
        guard.judge("#a", "bob", False, 0.0)
        for number in range(511):
            guard.judge("#a", f"n{number}", False, 0.0)
        self.assertIs(guard.judge("#a", "bob", False, 1.0), Verdict.TOO_OFTEN)
        for number in range(511):
            guard.judge("#a", f"m{number}", False, 1.0)
        self.assertIs(guard.judge("#a", "bob", False, 2.0), Verdict.TOO_OFTEN)
        guard.judge("#a", "one more", False, 2.0)
        guard.judge("#a", "and another", False, 2.0)
        self.assertIs(guard.judge("#a", "and another", False, 3.0), Verdict.TOO_OFTEN)
        self.assertIs(guard.judge("#a", "m0", False, 3.0), Verdict.ANSWER)

    def test_somebody_elses_answer_does_not_end_a_cooldown(self) -> None:
        guard = Guard(make_config(peers={"cooldown_s": 10.0}))
        guard.answered("bob", 5.0)
        guard.answered("carol", 14.0)
        self.assertIs(guard.judge("#a", "bob", True, 14.9), Verdict.COOLDOWN)

    def test_bots_have_been_silent_long_enough_after_an_hour_and_no_earlier(self) -> None:
        guard = Guard(make_config(peers={"max_turns": 1}))
        guard.judge("#a", "bob", True, 0.0)
        self.assertIs(guard.judge("#a", "bob", True, 3600.0), Verdict.ENOUGH)
        self.assertIs(guard.judge("#a", "bob", True, 7200.1), Verdict.ANSWER)

    def test_a_bot_is_answered_once_in_ten_seconds(self) -> None:
        guard = Guard(make_config())
        self.assertIs(guard.judge("#a", "bob", True, 0.0), Verdict.ANSWER)
        self.assertIs(guard.judge("#a", "BOB", True, 9.9), Verdict.COOLDOWN)
        self.assertIs(guard.judge("#b", "bob", True, 9.9), Verdict.COOLDOWN)
        self.assertIs(guard.judge("#a", "carol", True, 9.9), Verdict.ANSWER)
        self.assertIs(guard.judge("#a", "bob", True, 10.1), Verdict.ANSWER)

    def test_the_cooldown_counts_from_the_answer(self) -> None:
        guard = Guard(make_config())
        guard.judge("#a", "bob", True, 0.0)
        guard.answered("bob", 30.0)
        self.assertIs(guard.judge("#a", "bob", True, 39.0), Verdict.COOLDOWN)
        self.assertIs(guard.judge("#a", "bob", True, 41.0), Verdict.ANSWER)

    def test_bots_among_themselves_come_to_an_end_and_a_human_starts_them_again(self) -> None:
        guard = Guard(make_config(peers={"max_turns": 3}))
        verdicts = [guard.judge("#a", "bob", True, 20.0 * turn) for turn in range(6)]
        self.assertEqual(verdicts, [Verdict.ANSWER] * 3 + [Verdict.ENOUGH] * 3)
        self.assertTrue(guard.counting("#a"))
        self.assertIs(guard.judge("#other", "bob", True, 200.0), Verdict.ANSWER)
        guard.human_spoke("#a")
        self.assertFalse(guard.counting("#a"))
        self.assertIs(guard.judge("#a", "bob", True, 300.0), Verdict.ANSWER)

    def test_noise_does_not_end_the_silence_but_an_hour_without_does(self) -> None:
        guard = Guard(make_config(peers={"max_turns": 1}))
        guard.judge("#a", "bob", True, 0.0)
        for minute in range(1, 300):
            self.assertIs(guard.judge("#a", "bob", True, minute * 60.0), Verdict.ENOUGH)
        self.assertIs(guard.judge("#a", "bob", True, 299 * 60.0 + 3601), Verdict.ANSWER)

    def test_a_human_is_not_held_back_until_it_is_no_human_speed(self) -> None:
        guard = Guard(make_config(limits={"turns_per_minute": 12}))
        verdicts = [guard.judge("#a", "alice", False, 0.1 * turn) for turn in range(20)]
        self.assertEqual(verdicts.count(Verdict.ANSWER), 12)
        self.assertIs(verdicts[-1], Verdict.TOO_OFTEN)
        self.assertIs(guard.judge("#a", "alice", False, 30.0), Verdict.ANSWER)
        self.assertIs(guard.judge("#a", "bob", False, 2.0), Verdict.ANSWER)

    def test_no_two_bots_can_loop_whatever_their_speed(self) -> None:
        """Two guards answer each other with any thinking times; it ends by itself."""
        rng = random.Random(8)
        for _ in range(200):
            guards = {"a": Guard(make_config()), "b": Guard(make_config())}
            now, speaker, exchanges = 0.0, "a", 0
            pending: List[Tuple[str, str]] = [("a", "b")]
            while pending:
                speaker, listener = pending.pop()
                if guards[listener].judge("#x", speaker, True, now) is Verdict.ANSWER:
                    now += rng.choice([0.01, 1.0, 5.0, 11.0, 60.0, 200.0])
                    guards[listener].answered(speaker, now)
                    pending.append((listener, speaker))
                    exchanges += 1
                self.assertLess(exchanges, 10)


if __name__ == "__main__":
    unittest.main()
