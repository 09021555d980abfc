"""IRC messages: parsing never fails, building never makes two lines of one, names compare as servers compare them."""

import random
import re
import unittest

import harness  # noqa: F401
from bot.base.names import fold, matches
from bot.irc.protocol import LONGEST_LINE, Features, LineBuffer, Message, build, decode, nick_candidate, parse


class Parsing(unittest.TestCase):
    def test_a_message_with_everything(self) -> None:
        message = parse(r"@time=2026;bot;x=a\:b\s\\c\r\n\q :nick!user@host PRIVMSG #c  :hi :there ")
        assert message is not None
        self.assertEqual(message.tags, {"time": "2026", "bot": "", "x": "a;b \\c\r\nq"})
        self.assertEqual((message.nick, message.command, message.params), ("nick", "PRIVMSG", ["#c", "hi :there "]))

    def test_a_message_without_source_or_parameters(self) -> None:
        self.assertEqual(parse("PING"), Message("PING"))
        self.assertEqual(parse("ping :"), Message("PING", [""]))
        self.assertEqual(parse("  ping  a"), Message("PING", ["a"]))
        self.assertEqual(parse("@a=1   :s   ping"), Message("PING", [], "s", {"a": "1"}))
        self.assertEqual(parse(":irc.test 005 me A=b C :are"), Message("005", ["me", "A=b", "C", "are"], "irc.test"))

    def test_what_is_no_message_is_none(self) -> None:
        for line in ("", " ", ":", ":only.source", "@tag=1", "@tag :src", "12 x", "1234", "PRIV-MSG x", ":a  ", "é x"):
            self.assertIsNone(parse(line), line)

    def test_no_line_makes_the_parser_fail(self) -> None:
        rng = random.Random(11)
        pieces = ["@", ":", " ", ";", "=", "\\", "PRIVMSG", "001", "#c", "a!b@c", "\x01", "é", "\x00", "x" * 40]
        for _ in range(5000):
            parse("".join(rng.choice(pieces) for _ in range(rng.randrange(12))))

    def test_a_parameter_that_is_not_there_is_empty(self) -> None:
        self.assertEqual(Message("X", ["a"]).param(3), "")


class Building(unittest.TestCase):
    def test_what_is_built_is_parsed_as_the_same(self) -> None:
        rng = random.Random(5)
        for _ in range(1000):
            text = "".join(rng.choice("ab: éx\t\x01") for _ in range(rng.randrange(20)))
            line = build("PRIVMSG", "#chan", trailing=text)
            self.assertTrue(line.endswith(b"\r\n"))
            parsed = parse(line[:-2].decode())
            self.assertEqual(parsed, Message("PRIVMSG", ["#chan", text]))

    def test_a_line_break_can_never_become_a_second_command(self) -> None:
        for bad in ("a\r\nQUIT", "a\nQUIT", "a\rQUIT", "a\0b"):
            with self.assertRaises(ValueError):
                build("PRIVMSG", "#c", trailing=bad)
            with self.assertRaises(ValueError):
                build("JOIN", "#c" + bad)

    def test_a_parameter_cannot_become_two(self) -> None:
        for bad in ("", "a b", ":a"):
            with self.assertRaises(ValueError):
                build("JOIN", bad)
        with self.assertRaises(ValueError):
            build("JOIN #a", "x")


class Lines(unittest.TestCase):
    def test_packets_may_be_cut_anywhere(self) -> None:
        stream = "PING :é漢\r\nNOTICE * :x\nPRIVMSG a :b\r\n".encode()
        whole = LineBuffer().feed(stream)
        self.assertEqual(whole, ["PING :é漢", "NOTICE * :x", "PRIVMSG a :b"])
        rng = random.Random(1)
        for _ in range(300):
            buffer, lines, rest = LineBuffer(), [], stream
            while rest:
                size = rng.randrange(1, 9)
                lines += buffer.feed(rest[:size])
                rest = rest[size:]
            self.assertEqual(lines, whole)

    def test_a_line_without_end_is_thrown_away_and_the_next_one_is_read(self) -> None:
        buffer = LineBuffer()
        lines = []
        for _ in range(40):
            lines += buffer.feed(b"x" * 4096)
        lines += buffer.feed(b"tail\r\nPING :next\r\n")
        self.assertEqual(lines, ["PING :next"])
        self.assertEqual(LineBuffer().feed(b"y" * (LONGEST_LINE + 1) + b"\nPING\n"), ["PING"])
        self.assertEqual(LineBuffer().feed(b"y" * LONGEST_LINE + b"\nPING\n"), ["y" * LONGEST_LINE, "PING"])

    def test_zero_bytes_and_empty_lines_are_dropped(self) -> None:
        self.assertEqual(LineBuffer().feed(b"\r\n\n\r\nPI\0NG\r\n\0\r\n"), ["PING"])

    def test_what_is_not_utf8_is_read_as_latin1(self) -> None:
        self.assertEqual(decode(b"caf\xe9"), "café")
        self.assertEqual(decode("café".encode()), "café")


class Names(unittest.TestCase):
    def test_names_fold_as_the_server_says(self) -> None:
        self.assertEqual(fold("Nick[A]\\^"), "nick{a}|~")
        self.assertEqual(fold("Nick[A]^", "strict-rfc1459"), "nick{a}^")
        self.assertEqual(fold("Nick[A]", "ascii"), "nick[a]")
        self.assertEqual(fold("ÄÖ", "ascii"), "ÄÖ")

    def test_masks_match_as_on_irc(self) -> None:
        self.assertTrue(matches("*!*@*.example.org", "alice!a@host.EXAMPLE.org"))
        self.assertTrue(matches("al?ce!*", "ALICE!x@y"))
        self.assertFalse(matches("alice!*@*", "malice!a@b"))
        self.assertFalse(matches("alice!*@trusted", "alice!x@trusted.evil"))
        # Brackets are letters in nicks, not character classes.
        self.assertTrue(matches("bot[1]*", "bot[1]x"))
        self.assertFalse(matches("bot[1]", "bot1"))

    def test_masks_agree_with_regular_expressions(self) -> None:
        rng = random.Random(2)
        for _ in range(3000):
            pattern = "".join(rng.choice("ab*?") for _ in range(rng.randrange(7)))
            text = "".join(rng.choice("ab") for _ in range(rng.randrange(8)))
            expected = re.fullmatch(pattern.replace("*", ".*").replace("?", "."), text) is not None
            self.assertEqual(matches(pattern, text), expected, (pattern, text))

    def test_a_hostile_mask_takes_no_exponential_time(self) -> None:
        self.assertFalse(matches("*a" * 60 + "b", "a" * 500))

    def test_names_to_try_are_different_and_short_enough(self) -> None:
        names = [nick_candidate("research", attempt, 9, 42) for attempt in (1, 2, 3)]
        self.assertEqual(names, ["research_", "researc__", "researc42"])
        self.assertEqual(nick_candidate("x", 1, 1, 5), "x_")


class ServerFeatures(unittest.TestCase):
    def test_features_are_learned_and_nonsense_is_not(self) -> None:
        features = Features()
        features.learn(["CASEMAPPING=ascii", "NICKLEN=16", "CHANTYPES=#", "LINELEN=2048", "BOT=B", "STATUSMSG=@+"])
        self.assertEqual((features.casemapping, features.nicklen, features.linelen), ("ascii", 16, 2048))
        features.learn(["CASEMAPPING=weird", "NICKLEN=", "NICKLEN=0", "NICKLEN=9999999", "LINELEN=100", "CHANTYPES=", "BOT="])
        self.assertEqual((features.casemapping, features.nicklen, features.bot_mode), ("ascii", 16, "B"))
        self.assertEqual((features.linelen, features.chantypes), (512, "#"))

    def test_what_counts_as_a_channel(self) -> None:
        features = Features()
        for name, expected in (("#a", True), ("&a", True), ("#", False), ("a", False), ("#a b", False), ("#a,b", False),
                               ("#a\x07", False)):
            self.assertEqual(features.is_channel(name), expected, name)


if __name__ == "__main__":
    unittest.main()
