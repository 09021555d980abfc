"""Text for IRC: nothing harmful passes, nothing gets lost, every line fits."""

import logging
import random
import unittest
from unittest import mock

import harness  # noqa: F401 - sets the module path
from bot.base import logs
from bot.base.text import clean_block, cut, lines_for_irc, one_line, strip_controls, wrap

_ALPHABET = ["a", "b", " ", " ", "é", "ß", "漢", "字", "😀", "\u0301", "👍\U0001f3fd", "\u200d", "-", ":", "!"]
_NASTY = ["\r", "\n", "\0", "\x01", "\x03", "04,05", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e", "\ud800", "\t"]


def _random_text(rng: random.Random, alphabet: "list[str]", longest: int = 300) -> str:
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(longest)))


class Controls(unittest.TestCase):
    def test_all_of_both_sets_are_stripped_and_nothing_beside_them(self) -> None:
        for code in (*range(0x20), *range(0x7F, 0xA0)):
            self.assertEqual(one_line(f"a{chr(code)}b").replace(" ", ""), "ab", code)
            self.assertNotIn(chr(code), strip_controls(chr(code)) if chr(code) not in "\t\r\n" else "")
        for kept in " ~\xa0¡":
            self.assertEqual(strip_controls(f"a{kept}b"), f"a{kept}b")


class Wrapping(unittest.TestCase):
    def test_no_piece_is_longer_than_the_room_and_nothing_but_spaces_is_lost(self) -> None:
        rng = random.Random(7)
        for _ in range(1500):
            text, room = _random_text(rng, _ALPHABET), rng.randrange(4, 120)
            pieces = wrap(text, room)
            self.assertTrue(all(0 < len(piece.encode()) <= room for piece in pieces), (text, room))
            self.assertEqual("".join(pieces).replace(" ", ""), text.replace(" ", ""))

    def test_lines_break_between_words_where_there_are_any(self) -> None:
        self.assertEqual(wrap("the quick brown fox", 10), ["the quick", "brown fox"])
        self.assertEqual(wrap("a bb", 4), ["a bb"])

    def test_a_word_that_fits_no_line_is_cut_between_characters(self) -> None:
        self.assertEqual(wrap("ééééé", 5), ["éé", "éé", "é"])

    def test_a_word_that_is_longer_than_a_line_is_cut_where_it_stands(self) -> None:
        self.assertEqual(wrap("x 漢漢漢", 7), ["x 漢", "漢漢"])
        self.assertEqual(wrap("x 漢漢 漢", 7), ["x", "漢漢", "漢"])
        self.assertEqual(wrap("see aaaaaaaaaaaa there", 10), ["see aaaaaa", "aaaaaa", "there"])
        self.assertEqual(wrap("see  aaaaaaaaaa", 10), ["see", "aaaaaaaaaa"])

    def test_an_accent_stays_with_its_letter(self) -> None:
        pieces = wrap("aaaae\u0301aaa", 5)
        self.assertFalse(any(piece.startswith("\u0301") for piece in pieces), pieces)
        self.assertEqual("".join(pieces), "aaaae\u0301aaa")

    def test_what_a_reader_sees_as_one_character_is_never_torn(self) -> None:
        for name, cluster in (("flag", "🇩🇪"), ("keycap", "1\ufe0f\u20e3"), ("family", "👩\u200d👩\u200d👧\u200d👦"), ("skin", "👍\U0001f3fd"),
                              ("kiss", "👩\U0001f3fd\u200d❤\ufe0f\u200d💋\u200d👨\U0001f3ff"), ("rainbow flag", "🏳\ufe0f\u200d🌈"),
                              ("flag of tags", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"), ("accents", "e\u0301\u0323"),
                              ("Hangul in parts", "\u1112\u1161\u11ab"), ("Hangul with a tail", "\uac00\u11a8"), ("Devanagari", "क\u094dष\u093f"),
                              ("Tamil", "நி"), ("Thai", "ก\u0e33"), ("Arabic number sign", "\u0600\u0661")):
            for count in (1, 2, 7):
                for lead in ("", "x", "漢"):
                    for room in range(len(cluster.encode()), 64):
                        pieces = wrap(lead + cluster * count, room)
                        self.assertEqual("".join(pieces), lead + cluster * count)
                        for piece in pieces:
                            self.assertLessEqual(len(piece.encode()), room)
                            self.assertEqual(piece.replace(lead, "") if lead else piece, cluster * piece.count(cluster), (name, room, pieces))

    def test_neighbours_that_are_two_characters_can_be_parted(self) -> None:
        for text in ("🇩🇪🇫🇷", "aaaabbbb", "漢漢字字", "가가나나", "👍👍", "कककक"):
            half = len(text) // 2
            self.assertEqual(wrap(text, len(text[:half].encode()))[0], text[:half])
        # An odd half of a flag after a flag.
        self.assertEqual(wrap("🇩🇪🇫", 8), ["🇩🇪", "🇫"])

    def test_a_text_that_is_shortened_ends_with_a_whole_character(self) -> None:
        self.assertEqual(cut("ab👩\u200d👧cd", 4), "ab")
        self.assertEqual(cut("ab👩\u200d👧cd", 5), "ab👩\u200d👧")
        self.assertEqual(cut("short", 10), "short")
        self.assertEqual(one_line("x" * 8 + "🇩🇪🇫🇷", 10), "x" * 8 + "…")

    def test_accents_without_end_still_make_progress(self) -> None:
        self.assertEqual("".join(wrap("\u0301" * 200, 8)), "\u0301" * 200)

    def test_an_empty_or_blank_line_gives_no_piece(self) -> None:
        self.assertEqual(wrap("", 10), [])
        self.assertEqual(wrap("     ", 4), [])

    def test_room_for_not_even_one_character_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            wrap("text", 3)


class Cleaning(unittest.TestCase):
    def test_every_mark_of_direction_goes(self) -> None:
        for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF):
            text = f"a{chr(code)}b"
            self.assertEqual((strip_controls(text), clean_block(text)), ("ab", "ab"), hex(code))

    def test_no_control_character_survives_whatever_comes(self) -> None:
        rng = random.Random(3)
        for _ in range(800):
            text = _random_text(rng, _ALPHABET + _NASTY)
            for line in lines_for_irc(text, 60):
                self.assertFalse(any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in line), repr(line))
                self.assertFalse(set(line) & set("\u2028\u2029\u202e\u2066"), repr(line))
                self.assertLessEqual(len(line.encode()), 60)

    def test_colours_go_with_their_numbers(self) -> None:
        self.assertEqual(strip_controls("\x0304,05red\x03 \x02bold\x02"), "red bold")

    def test_every_kind_of_line_break_ends_a_line(self) -> None:
        self.assertEqual(lines_for_irc("a\r\nb\rc\nd\x85e\u2028f\x0bg", 50), list("abcdefg"))

    def test_fences_around_code_are_dropped_and_the_code_is_kept(self) -> None:
        self.assertEqual(lines_for_irc("see:\n```python\n  x = 1\n```\n", 50), ["see:", "  x = 1"])

    def test_terminal_escapes_are_taken_out_of_command_output(self) -> None:
        self.assertEqual(clean_block("\x1b[1;31mred\x1b[0m\x1b]0;title\x07 ok\r\nnext\0"), "red ok\nnext")

    def test_half_a_surrogate_becomes_a_question_mark(self) -> None:
        self.assertEqual(strip_controls("a\ud800b"), "a?b")

    def test_an_error_fits_one_line(self) -> None:
        self.assertEqual(one_line("first\nsecond\r\n  third"), "first second third")
        self.assertEqual(len(one_line("x" * 500, 100)), 100)
        self.assertEqual(one_line("x" * 100, 100), "x" * 100)
        self.assertEqual(one_line("x" * 101, 100), "x" * 99 + "…")


class Logs(unittest.TestCase):
    def test_a_secret_that_holds_another_one_is_hidden_whole(self) -> None:
        formatter = logs._OneLine()
        root = logging.getLogger()
        self.addCleanup(root.setLevel, root.level)
        with mock.patch.object(logs, "_formatter", formatter):
            for secrets in (["key", "key-of-bob"], ["key-of-bob", "key"]):
                logs.start("info", secrets)
                record = logging.LogRecord("link", logging.INFO, "", 0, "sent key-of-bob\nand key", (), None)
                self.assertRegex(formatter.format(record), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO link: sent \*\*\* and \*\*\*$")


if __name__ == "__main__":
    unittest.main()
