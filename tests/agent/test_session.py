"""One IRC connection as a state machine: a server that follows the rules, and servers that do not."""

import base64
import random
import time
import unittest
from typing import Any, Dict, List, Optional, Type, TypeVar

from harness import make_config
from bot.base.names import fold
from bot.base.pacing import Pacer
from bot.irc.events import (
    Closing, Event, Invited, Joined, Left, NickChanged, PeerGone, PeerInfo, PeerRenamed, Refused, Registered, Text, Trouble,
)
from bot.irc.lookups import Lookups
from bot.irc.protocol import parse
from bot.irc.session import Session

E = TypeVar("E")


class SessionTest(unittest.TestCase):
    """Plays the server and owns the clock."""

    def setUp(self) -> None:
        self.now = 1000.0
        self.events: List[Event] = []

    def start(self, channels: Optional[Dict[str, str]] = None, **changes: Any) -> Session:
        limits: Dict[str, Any] = {"message_burst": 5, "message_interval_s": 1.0, **changes.pop("limits", {})}
        self.config = make_config(limits=limits, **changes)
        self.pacer = Pacer(limits["message_burst"], limits["message_interval_s"], self.now)
        self.wall = 1_800_000_000.0
        self.session = Session(self.config, channels or {}, self.pacer, random.Random(1), self.now, lambda: self.wall)
        return self.session

    def sent(self) -> List[str]:
        """What goes out now."""
        self.events += self.session.tick(self.now)
        return self.session.transmit(self.now).decode().split("\r\n")[:-1]

    def server(self, *lines: str) -> List[str]:
        """The server says the lines; returns what goes out at once."""
        for line in lines:
            self.events += self.session.feed(line.encode() + b"\r\n", self.now)
        return self.sent()

    def later(self, seconds: float) -> List[str]:
        """Time passes, with everything done when it is due; returns what went out on the way."""
        out: List[str] = []
        end = self.now + seconds
        while True:
            due = self.session.deadline(self.now)
            if due > end or self.session.closing:
                break
            self.now = max(due, self.now + 1e-6)
            out += self.sent()
        self.now = end
        return out + self.sent()

    def registered(self, channels: Optional[Dict[str, str]] = None, isupport: str = "CASEMAPPING=ascii", **changes: Any) -> Session:
        self.start(channels, **changes)
        self.sent()
        self.server(":s CAP * LS :", ":s 001 worker :hi", ":s 004 worker s v iw o", f":s 005 worker {isupport} :are", ":s 422 worker :-")
        self.later(10)
        return self.session

    def of(self, kind: Type[E]) -> List[E]:
        return [event for event in self.events if isinstance(event, kind)]


class Registering(SessionTest):
    def test_it_introduces_itself_and_joins_its_channels_after_the_greeting(self) -> None:
        self.start({"#agents": "", "#private": "key"}, server={"password": "pw"})
        self.assertEqual(self.sent(), ["PASS :pw", "CAP LS 302", "NICK worker", "USER agent 0 * :fireclaw agent worker"])
        self.assertEqual(self.server(":s CAP * LS :multi-prefix"), ["CAP END"])
        self.assertEqual(self.server(":s 001 worker :hi", ":s 376 worker :end"), ["JOIN #agents", "JOIN #private key"])
        self.assertEqual(self.of(Registered), [Registered("worker")])

    def test_a_server_without_capabilities_is_fine(self) -> None:
        self.start({"#a": ""})
        self.sent()
        self.assertEqual(self.server(":s 421 * CAP :Unknown command", ":s 001 worker :hi", ":s 422 worker :-"), ["JOIN #a"])

    def test_capabilities_in_several_lines_are_all_read(self) -> None:
        self.start()
        self.sent()
        self.assertEqual(self.server(":s CAP * LS * :a b chghost"), [])
        self.assertEqual(self.server(":s CAP * LS :message-tags sasl"), ["CAP REQ :message-tags chghost"])
        self.assertEqual(self.server(":s CAP * ACK :message-tags chghost"), ["CAP END"])

    def test_what_tells_old_lines_is_asked_for(self) -> None:
        self.start()
        self.sent()
        self.assertEqual(self.server(":s CAP * LS :draft/chathistory batch server-time znc.in/playback echo-message"),
                         ["CAP REQ :server-time batch draft/chathistory znc.in/playback"])

    def test_capabilities_can_be_granted_one_by_one(self) -> None:
        self.start()
        self.sent()
        self.server(":s CAP * LS :batch server-time")
        self.assertEqual(self.server(":s CAP * ACK :batch"), [])
        self.assertEqual(self.server(":s CAP * ACK :server-time "), ["CAP END"])

    def test_what_was_refused_together_is_asked_for_one_by_one(self) -> None:
        self.start()
        self.sent()
        self.server(":s CAP * LS :batch server-time")
        self.assertEqual(self.server(":s CAP * NAK :server-time batch"), ["CAP REQ :server-time", "CAP REQ :batch"])
        self.assertEqual(self.server(":s CAP * ACK :server-time", ":s CAP * NAK :batch"), ["CAP END"])

    def test_a_server_without_a_message_of_the_day_is_joined_after_five_seconds(self) -> None:
        self.start({"#a": ""})
        self.sent()
        self.server(":s CAP * LS :", ":s 001 worker :hi", ":s 004 worker s v iw o")
        self.assertEqual(self.later(4.9), [])
        self.assertEqual(self.later(0.2), ["JOIN #a"])
        # When it comes after all, nothing is done twice.
        self.assertEqual(self.server(":s 376 worker :end"), [])
        self.assertEqual(self.of(Registered), [Registered("worker")])

    def test_a_new_connection_has_its_whole_burst_whatever_the_one_before_has_used(self) -> None:
        self.registered({"#a": ""})
        self.server(":worker!u@h JOIN #a")
        for number in range(9):
            self.session.say("#a", f"line {number}")
        self.sent()
        again = Session(self.config, {f"#c{number}": "" for number in range(4)}, self.pacer, random.Random(1), self.now)
        again.transmit(self.now)
        again.feed(b":s 001 worker :hi\r\n:s 422 worker :-\r\n", self.now)
        self.assertEqual(again.transmit(self.now).count(b"JOIN"), 4)

    def test_of_capabilities_without_end_the_first_ones_are_known(self) -> None:
        self.start()
        self.sent()
        self.server(*[f":s CAP * LS * :{' '.join(f'a{line}-{number}' for number in range(10))}" for line in range(19)])
        self.assertEqual(self.server(":s CAP * LS * :b1 b2 b3 b4 b5 b6 b7 b8 b9 batch server-time", ":s CAP * LS :chghost"), ["CAP REQ :batch"])

    def test_a_second_greeting_of_a_bouncer_changes_nothing(self) -> None:
        self.registered()
        self.server(":worker!u@h NICK other", ":s 001 worker :hi again")
        self.assertEqual((self.session.nick, self.session.deadline(self.now) <= self.now + 5), ("other", False))

    def test_refused_capabilities_are_done_without(self) -> None:
        self.start()
        self.sent()
        self.server(":s CAP * LS :message-tags")
        self.assertEqual(self.server(":s CAP * NAK :message-tags"), ["CAP END"])
        # What comes after the end does not end it again.
        self.assertEqual(self.server(":s CAP * NAK :message-tags", ":s CAP * ACK :batch"), [])

    def test_it_marks_itself_as_a_bot_where_the_server_knows_bots(self) -> None:
        self.start({"#a": ""})
        self.sent()
        out = self.server(":s 001 worker :hi", ":s 004 worker s v Biw o", ":s 005 worker BOT=b :are", ":s 376 worker :-")
        self.assertEqual(out, ["MODE worker +b", "JOIN #a"])

    def test_of_the_modes_that_a_server_lists_only_the_users_make_it_a_bot(self) -> None:
        for modes, marked in (("Biw o", True), ("iwB o", True), ("iw B", False), ("iwb o", False), ("iw Bo", False)):
            with self.subTest(modes=modes):
                self.start({"#a": ""})
                self.sent()
                out = self.server(":s 001 worker :hi", f":s 004 worker s B-1.0 {modes}", ":s 376 worker :-")
                self.assertEqual(out, (["MODE worker +B"] if marked else []) + ["JOIN #a"])

    def test_a_server_that_never_finishes_is_given_up(self) -> None:
        self.start(limits={"register_s": 60, "ping_interval_s": 10, "ping_timeout_s": 10})
        self.sent()
        # Nothing to do until then: a deadline in the past would keep the processor busy.
        self.assertEqual(self.session.deadline(self.now + 30), self.now + 60)
        self.later(59)
        self.assertEqual(self.session.closing, "")
        self.later(2)
        self.assertIn("did not register us in time", self.session.closing)

    def test_garbage_before_and_after_the_greeting_is_survived(self) -> None:
        rng = random.Random(9)
        self.registered({"#a": ""})
        commands = ["001", "004", "005", "311", "318", "353", "396", "433", "437", "CAP", "AUTHENTICATE", "JOIN", "PART", "KICK",
                    "NICK", "QUIT", "MODE", "PRIVMSG", "NOTICE", "INVITE", "CHGHOST", "PING", "PONG", "903", "904", "475"]
        words = [":#b c", ":worker x", "::y", "#", "CHANTYPES=:", "CHANTYPES=x",  "worker", "#a", "*", "", ":", "LS", "ACK", "NAK", "+", "alice", "\x01VERSION\x01", "\x01", "A=B", "x" * 600, "é"]
        sources = ["", ":s ", "::x!a@h ", ":a,b!c@d ",":worker!u@h ", ":alice!a@h ", ":worker ", ":! ", "@bot;a :alice!a@h "]
        for _ in range(6000):
            line = rng.choice(sources) + rng.choice(commands) + " " + " ".join(rng.choice(words) for _ in range(rng.randrange(6)))
            self.events += self.session.feed(line.encode() + b"\r\n", self.now)
            self.now += rng.choice([0.01, 0.01, 7.0])
            self.session._pinged = None
            for out in self.sent():
                self.assertLessEqual(len(out.encode()), 510)
        self.assertEqual(self.session.closing, "")


class Sasl(SessionTest):
    def login(self, password: str = "secret", caps: str = "sasl=PLAIN,EXTERNAL") -> List[str]:
        self.start({"#a": ""}, server={"sasl": {"user": "bot", "password": password}})
        self.sent()
        return self.server(f":s CAP * LS :{caps}")

    def test_login_with_plain(self) -> None:
        self.assertEqual(self.login(), ["CAP REQ :sasl"])
        self.assertEqual(self.server(":s CAP * ACK :sasl"), ["AUTHENTICATE PLAIN"])
        token = base64.b64encode(b"\0bot\0secret").decode()
        self.assertEqual(self.server("AUTHENTICATE +"), [f"AUTHENTICATE {token}"])
        self.assertEqual(self.server(":s 900 * * bot :in", ":s 903 * :ok"), ["CAP END"])
        self.assertEqual(self.server(":s 001 worker :hi", ":s 422 worker :-"), ["JOIN #a"])

    def test_long_credentials_go_in_chunks_of_400_bytes(self) -> None:
        for length in (295, 294, 700):
            self.login("p" * length)
            self.server(":s CAP * ACK :sasl")
            chunks = [line.split(" ")[1] for line in self.server("AUTHENTICATE +")]
            self.assertTrue(all(len(chunk) == 400 for chunk in chunks[:-1]))
            self.assertLess(len(chunks[-1]), 400)
            token = "".join(chunk for chunk in chunks if chunk != "+")
            self.assertEqual(base64.b64decode(token), b"\0bot\0" + b"p" * length)
            # An exact multiple of 400 is closed by an empty chunk.
            self.assertEqual(chunks[-1] == "+", len(token) % 400 == 0)

    def test_wrong_credentials_end_the_connection_and_are_not_tried_often(self) -> None:
        self.login()
        self.server(":s CAP * ACK :sasl", "AUTHENTICATE +", ":s 904 * :SASL authentication failed")
        self.assertEqual(self.session.closing, "SASL login failed: SASL authentication failed")
        self.assertTrue(self.session.unwelcome)

    def test_a_server_that_says_which_mechanisms_there_are_is_quoted_with_them(self) -> None:
        self.login(caps="sasl")
        self.server(":s CAP * ACK :sasl", ":s 908 * EXTERNAL,SCRAM-SHA-256 :are available SASL mechanisms", ":s 904 * :SASL authentication failed")
        self.assertEqual(self.session.closing, "SASL login failed: EXTERNAL,SCRAM-SHA-256 are available SASL mechanisms")

    def test_it_does_not_continue_without_the_login_it_was_told_to_make(self) -> None:
        for lines, reason in (
            ([":s CAP * LS :multi-prefix"], "offers no SASL"),
            ([":s CAP * LS :sasl=EXTERNAL"], "without PLAIN"),
            ([":s CAP * LS :sasl", ":s CAP * NAK :sasl"], "does not allow"),
            ([":s 001 worker :hi"], "accepted us without it"),
        ):
            self.start(server={"sasl": {"user": "bot", "password": "x"}})
            self.sent()
            self.server(*lines)
            self.assertIn(reason, self.session.closing)

    def test_a_server_that_asks_for_credentials_unasked_gets_none(self) -> None:
        self.start()
        self.sent()
        self.assertEqual(self.server("AUTHENTICATE +"), [])
        self.registered()
        self.assertEqual(self.server("AUTHENTICATE +", ":s CAP * ACK :sasl", ":s 904 * :x"), [])
        self.assertEqual(self.session.closing, "")


    def test_the_negotiation_ends_once_after_a_login_and_all_else_that_is_granted(self) -> None:
        self.login(caps="sasl=PLAIN batch")
        self.assertEqual(self.server(":s CAP * ACK :batch", ":s CAP * ACK :sasl"), ["AUTHENTICATE PLAIN"])
        self.assertEqual(self.server("AUTHENTICATE +", ":s 903 * :ok")[-1:], ["CAP END"])

    def test_a_login_is_asked_for_alone_if_it_was_refused_with_others(self) -> None:
        self.login(caps="sasl=PLAIN batch")
        self.assertEqual(self.server(":s CAP * NAK :sasl batch"), ["CAP REQ :sasl", "CAP REQ :batch"])
        self.server(":s CAP * NAK :sasl")
        self.assertIn("does not allow SASL", self.session.closing)


class Nicks(SessionTest):
    def test_a_nick_in_use_gets_a_suffix_and_is_regained_when_free(self) -> None:
        self.start(limits={"regain_s": 30})
        self.sent()
        self.assertEqual(self.server(":s 433 * worker :in use"), ["NICK worker_"])
        self.server(":s 001 worker_ :hi", ":s 422 worker_ :-")
        self.later(5)
        self.assertEqual(self.server(":worker!x@y QUIT :gone"), ["NICK worker"])
        self.server(":worker_!u@h NICK worker")
        self.assertEqual((self.session.nick, self.of(NickChanged)), ("worker", [NickChanged("worker")]))
        self.assertNotIn("NICK worker", self.later(200))

    def test_it_asks_for_its_nick_now_and_then_without_seeing_the_holder(self) -> None:
        self.start(limits={"regain_s": 30, "ping_interval_s": 1000})
        self.sent()
        self.server(":s 433 * worker :in use", ":s 001 worker_ :hi", ":s 422 worker_ :-")
        asked = [line for line in self.later(100) if line == "NICK worker"]
        self.assertEqual(len(asked), 3)
        self.server(":s 433 worker_ worker :in use")
        self.assertEqual(self.session.nick, "worker_")

    def test_the_holder_that_renames_itself_frees_the_nick(self) -> None:
        self.start()
        self.sent()
        self.server(":s 433 * worker :x", ":s 001 worker_ :hi", ":s 422 worker_ :-")
        self.later(5)
        self.assertEqual(self.server(":worker!x@y NICK other"), ["NICK worker"])
        self.assertEqual(self.of(PeerRenamed), [PeerRenamed("worker", "other")])

    def test_many_collisions_give_different_names_and_then_up(self) -> None:
        self.start()
        self.sent()
        tried = [self.server(":s 433 * x :in use") for _ in range(21)]
        names = [lines[0] for lines in tried[:20]]
        self.assertGreater(len(set(names)), 15)
        self.assertEqual(self.session.closing, "the server refused every nick")

    def test_a_nick_that_is_too_long_is_shortened(self) -> None:
        self.start(name="averylongnickname")
        self.sent()
        self.assertEqual(self.server(":s 432 * averylongnickname :too long"), ["NICK averylon_"])

    def test_a_nick_that_the_server_cut_is_taken_as_it_is(self) -> None:
        self.start()
        self.sent()
        self.server(":s 001 work :hi", ":s 422 work :-")
        self.assertEqual(self.session.nick, "work")
        self.assertEqual([line for line in self.later(300) if line.startswith("NICK")], [])

    def test_a_longer_nick_is_not_asked_for_than_the_server_gives(self) -> None:
        self.start(name="averylongnickname")
        self.sent()
        self.server(":s 433 * averylongnickname :in use", ":s 001 averylongn_ :hi", ":s 005 averylongn_ NICKLEN=9 :are", ":s 422 x :-")
        self.assertEqual([line for line in self.later(40) if line.startswith("NICK")], ["NICK averylong"])
        self.server(":averylongn_!u@h NICK averylong")
        self.assertEqual([line for line in self.later(300) if line.startswith("NICK")], [])
        self.session.change_nick("averylongother", self.now)
        self.assertEqual(self.later(300), [line for line in self.later(0) if line.startswith("NICK")])

    def test_being_renamed_by_the_server_is_noticed_and_undone_later(self) -> None:
        self.registered()
        self.server(":worker!u@h NICK Guest1")
        self.assertEqual(self.session.nick, "Guest1")
        self.assertIn("NICK worker", self.later(31))

    def test_a_new_wanted_nick_is_asked_for_at_once(self) -> None:
        self.registered()
        self.session.change_nick("coder", self.now)
        self.assertEqual(self.sent(), ["NICK coder"])
        self.server(":s 432 worker coder :Erroneous")
        self.assertEqual(self.of(Trouble), [Trouble("the server does not allow the nick coder")])
        self.assertNotIn("NICK coder", self.later(100))


class Channels(SessionTest):
    def join(self, channel: str = "#a") -> None:
        self.registered({channel: ""})
        self.server(f":worker!~agent@host JOIN {channel}")

    def test_joining_and_leaving(self) -> None:
        self.join()
        self.assertEqual((self.session.channels, self.of(Joined)), (["#a"], [Joined("#a")]))
        self.later(5)
        self.session.leave("#A", "bye")
        self.assertEqual(self.sent(), ["PART #a :bye"])
        self.server(":worker!~agent@host PART #a :bye")
        self.assertEqual(self.of(Left), [Left("#a", "bye", "worker", False)])
        self.assertEqual(self.session.channels, [])
        self.assertEqual([line for line in self.later(2000) if line.startswith("JOIN")], [])

    def test_a_kick_is_followed_by_a_patient_return(self) -> None:
        self.join()
        self.server(":op!o@h KICK #a worker :calm down")
        self.assertEqual(self.of(Left), [Left("#a", "calm down", "op", True)])
        self.assertNotIn("JOIN #a", self.later(29))
        self.assertIn("JOIN #a", self.later(2))

    def test_a_refused_join_is_repeated_ever_more_rarely(self) -> None:
        self.registered({"#a": ""}, limits={"ping_interval_s": 86400})
        self.server(":s 473 worker #a :Cannot join channel (+i)")
        self.assertEqual(self.of(Refused), [Refused("#a", True, "Cannot join channel (+i)")])
        joins = [line for line in self.later(3600) if line == "JOIN #a"]
        self.assertTrue(5 <= len(joins) <= 9, len(joins))
        # But never more rarely than every quarter of an hour.
        joins = [line for line in self.later(36000) if line == "JOIN #a"]
        self.assertTrue(38 <= len(joins) <= 41, len(joins))

    def test_a_refusal_to_join_or_to_speak_says_where_and_why(self) -> None:
        self.join()
        self.session.join("#b", "", self.now)
        self.server(":s 404 worker #a :Cannot send to channel (+m)", ":s 477 worker #b :You need a registered nick",
                    ":s 477 worker #a :You need a registered nick to speak", ":s 437 worker #b :Channel is temporarily unavailable",
                    ":s 470 worker #b ##b :Forwarding to another channel", ":s 404 worker", ":s 439 * :This server has anti-spam mechanisms",
                    "FAIL JOIN ACCOUNT_REQUIRED #b :You must log in first", "FAIL JOIN AGAIN #a :Already in", "FAIL PRIVMSG CANNOT #a :Not now", "FAIL BOX FULL :Too many boxes",
                    "FAIL", "FAIL x", "WARN JOIN SLOW #a :slow", "NOTE * X :y")
        self.assertEqual(self.of(Refused), [
            Refused("#a", False, "Cannot send to channel (+m)"), Refused("#b", True, "You need a registered nick"),
            Refused("#a", False, "You need a registered nick to speak"), Refused("#b", True, "Channel is temporarily unavailable"),
            Refused("#b", True, "the server forwards to ##b (Forwarding to another channel)"),
            Refused("#b", True, "You must log in first (ACCOUNT_REQUIRED)"), Refused("#a", False, "Not now (CANNOT)")])
        self.assertIn(Trouble("BOX failed: Too many boxes (FULL)"), self.of(Trouble))
        self.assertIn(Trouble("JOIN failed: Already in (AGAIN)"), self.of(Trouble))
        self.assertIn(Trouble("a command failed: no reason given ()"), self.of(Trouble))

    def test_every_refusal_that_servers_know_is_told_of(self) -> None:
        self.join()
        self.session.join("#b", "", self.now)
        refused = {"384": "Cannot join channel, CBANed (spam)", "479": "Illegal channel name", "480": "Cannot join channel (+j) - throttle exceeded, try again later",
                   "485": "Cannot join channel (reserved)", "500": "Too many join requests. Please wait a while and try again.", "519": "Cannot join channel (Admin only)",
                   "926": "Channel #b is forbidden"}
        for numeric, reason in refused.items():
            # The same numbers mean other things where it is not about a channel that we want.
            self.server(f":s {numeric} worker #b :{reason}", f":s {numeric} worker port :6667")
        self.assertEqual(self.of(Refused), [Refused("#b", True, reason) for reason in refused.values()])
        self.server(":s 707 worker alice :Targets changing too fast, message dropped")
        self.assertEqual(self.of(Refused)[-1], Refused("alice", False, "Targets changing too fast, message dropped"))

    def test_a_channel_that_the_server_put_us_into_is_not_come_back_to(self) -> None:
        self.join()
        self.server(":worker!~agent@host JOIN #b")
        self.assertEqual(self.session.channels, ["#a", "#b"])
        self.server(":op!o@h KICK #b worker :out")
        self.assertEqual([line for line in self.later(2000) if line.startswith("JOIN")], [])

    def test_where_the_server_forwards_us_to_we_do_not_stay_or_talk(self) -> None:
        self.join()
        self.session.join("#b", "", self.now)
        self.sent()
        self.later(10)
        out = self.server(":s 470 worker #b ##b :Forwarding", ":worker!~agent@host JOIN ##b", ":alice!a@h PRIVMSG ##b :worker: hello")
        self.assertEqual(out, ["PART ##b :forwarded here without asking for it"])
        self.server(":worker!~agent@host PART ##b")
        self.assertEqual((self.session.channels, self.of(Text), self.of(Left)), (["#a"], [], []))
        # Asked for by its own name it is a channel like any other.
        self.session.join("##b", "", self.now)
        self.server(":worker!~agent@host JOIN ##b")
        self.assertEqual(self.session.channels, ["##b", "#a"])

    def test_an_invitation_to_where_we_want_to_be_is_followed_at_once(self) -> None:
        self.registered({"#a": ""})
        self.server(":s 473 worker #a :Cannot join channel (+i)")
        self.session.join("#A", "", self.now)
        self.assertEqual(self.sent(), ["JOIN #a"])

    def test_somebody_elses_kick_and_part_mean_nothing(self) -> None:
        self.join()
        self.server(":op!o@h KICK #a alice :x", ":alice!a@h PART #a", ":alice!a@h JOIN #b", ":s 366 worker #a :end")
        self.assertEqual((self.session.channels, self.of(Left)), (["#a"], []))

    def test_an_invitation_is_reported_and_only_if_it_is_for_us(self) -> None:
        self.registered()
        self.server(":alice!a@h INVITE worker #new", ":alice!a@h INVITE bob #other", ":alice!a@h INVITE worker nochannel",
                    ":alice!a@h INVITE worker #a,#b")
        self.assertEqual(self.of(Invited), [Invited("alice!a@h", "#new")])

    def test_names_are_compared_as_the_server_says(self) -> None:
        self.registered({"#a[1]": ""}, isupport="CASEMAPPING=rfc1459")
        self.server(":worker!u@h JOIN #A{1}")
        self.assertTrue(self.session.in_channel("#a[1]"))
        self.registered({"#a[1]": ""}, isupport="CASEMAPPING=ascii")
        self.server(":worker!u@h JOIN #A{1}")
        self.assertFalse(self.session.in_channel("#a[1]"))


class Listening(SessionTest):
    def setUp(self) -> None:
        super().setUp()
        self.registered({"#a": ""}, isupport="CASEMAPPING=ascii STATUSMSG=@+ CHANTYPES=#")
        self.server(":worker!~agent@host JOIN #a")
        self.later(20)

    def test_text_in_a_channel_and_in_private(self) -> None:
        self.server(":alice!a@h PRIVMSG #a :hello \x02bold\x02", "@bot :bob!b@h PRIVMSG worker :psst", ":alice!a@h PRIVMSG @#a :ops")
        self.assertEqual(self.of(Text), [
            Text("alice!a@h", "#a", False, "hello bold", False, False),
            Text("bob!b@h", "bob", True, "psst", False, True),
            Text("alice!a@h", "@#a", False, "ops", False, False, "#a"),
        ])

    def test_a_channel_that_begins_like_a_status_is_a_channel(self) -> None:
        self.registered({"+a": ""}, isupport="CASEMAPPING=ascii STATUSMSG=@+ CHANTYPES=#+")
        self.server(":worker!~agent@host JOIN +a", ":alice!a@h PRIVMSG +a :x", ":alice!a@h PRIVMSG @+a :y")
        self.assertEqual([event.target for event in self.of(Text)], ["+a"])

    def test_what_is_not_for_us_is_no_text(self) -> None:
        self.server(":alice!a@h PRIVMSG #other :x", ":alice!a@h PRIVMSG bob :x", ":worker!u@h PRIVMSG #a :own echo",
                    ":irc.test PRIVMSG worker :from a server", "PRIVMSG worker :from nobody", ":a!b@c PRIVMSG worker",
                    ":a!b@c PRIVMSG #a :\x02\x03")
        self.assertEqual(self.of(Text), [])

    def test_a_notice_is_never_even_seen(self) -> None:
        self.assertEqual(self.server(":alice!a@h NOTICE worker :answer me", ":alice!a@h NOTICE #a :\x01VERSION\x01",
                                     ":alice!a@h NOTICE worker :\x01PING 1\x01"), [])
        self.assertEqual(self.of(Text), [])

    def test_an_action_is_text(self) -> None:
        self.server(":alice!a@h PRIVMSG #a :\x01ACTION waves\x01")
        self.assertEqual([(event.text, event.action) for event in self.of(Text)], [("waves", True)])

    def test_ctcp_version_and_ping_are_answered_but_not_often(self) -> None:
        self.assertEqual(self.server(":alice!a@h PRIVMSG worker :\x01VERSION\x01"), ["NOTICE alice :\x01VERSION fireclaw agent 0.1.0\x01"])
        self.assertEqual(self.server(":alice!a@h PRIVMSG worker :\x01PING 12 3\x01"), ["NOTICE alice :\x01PING 12 3\x01"])
        out: List[str] = []
        for _ in range(50):
            out += self.server(":mallory!m@h PRIVMSG worker :\x01PING x\x01") + self.later(0.1)
        self.assertLessEqual(len(out), 2)
        self.assertEqual(self.of(Text), [])

    def test_other_ctcp_is_ignored(self) -> None:
        self.assertEqual(self.server(":a!b@c PRIVMSG worker :\x01DCC SEND x 1 2 3\x01", ":a!b@c PRIVMSG worker :\x01\x01"), [])
        self.assertEqual(self.of(Text), [])

    def test_a_look_up_collects_what_the_server_knows(self) -> None:
        self.session.look_up("Bob", self.now)
        self.session.look_up("bob", self.now)
        self.assertEqual(self.sent(), ["WHOIS Bob"])
        self.server(":s 311 worker bob u h * :fireclaw agent bob", ":s 335 worker bob :is a bot", ":s 318 worker bob :end")
        self.assertEqual(self.of(PeerInfo), [PeerInfo("Bob", True, True, "fireclaw agent bob")])

    def test_a_look_up_without_an_answer_ends_by_itself(self) -> None:
        self.session.look_up("ghost", self.now)
        self.later(4.75)
        self.assertEqual(self.of(PeerInfo), [])
        self.later(0.25)
        self.assertEqual(self.of(PeerInfo), [PeerInfo("ghost", False, False, "")])

    def test_a_look_up_is_over_in_its_last_instant(self) -> None:
        lookups = Lookups(fold, lambda line: None)
        lookups.ask("ghost", 10.0)
        self.assertEqual((lookups.deadlines(), lookups.overdue(14.999)), ([15.0], []))
        self.assertEqual(lookups.overdue(15.0), [PeerInfo("ghost", False, False, "")])
        self.assertEqual((lookups.deadlines(), lookups.overdue(20.0), lookups.end("ghost")), ([], [], []))

    def test_a_look_up_keeps_what_it_learns_in_any_order(self) -> None:
        lines = (":s 335 worker bob :is a bot", ":s 311 worker bob u h * :Bob")
        for order in (lines, lines[::-1]):
            lookups = Lookups(fold, lambda line: None)
            lookups.ask("bob", 10.0)
            for line in order:
                message = parse(line)
                assert message is not None
                lookups.learn(message)
            self.assertEqual(lookups.end("Bob"), [PeerInfo("bob", True, True, "Bob")])

    def test_somebody_who_quits_is_reported(self) -> None:
        self.server(":alice!a@h QUIT :split.one split.two")
        self.assertEqual(self.of(PeerGone), [PeerGone("alice")])


def tagged(seconds: float, line: str, more: str = "") -> str:
    return f"@time={time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.000Z{more} {line}"


class OldLines(SessionTest):
    SERVER = 1_700_000_000.0

    def prepare(self, clock: bool = True) -> None:
        """The server's clock is wrong by years, which must not matter where it shows it."""
        self.registered({"#a": ""}, isupport="CASEMAPPING=ascii CHANTYPES=#")
        join = ":worker!~agent@host JOIN #a"
        self.server(tagged(self.SERVER, join) if clock else join)

    def heard(self) -> List[str]:
        return [event.text for event in self.of(Text)]

    def test_what_was_said_before_we_joined_is_not_heard(self) -> None:
        self.prepare()
        self.server(tagged(self.SERVER - 1, ":alice!a@h PRIVMSG #a :old"), tagged(self.SERVER, ":alice!a@h PRIVMSG #a :same second"),
                    tagged(self.SERVER + 9, ":alice!a@h PRIVMSG #a :new"), ":alice!a@h PRIVMSG #a :without a time",
                    "@time=nonsense :alice!a@h PRIVMSG #a :odd time", "@time=2020-99-01T00:00:00Z :alice!a@h PRIVMSG #A :odder time",
                    "@time=2020-01-01T00:00:00Zulu :alice!a@h PRIVMSG #a :more than a time", "@time=12020-01-01T00:00:00Z :alice!a@h PRIVMSG #a :less than a time")
        self.assertEqual(self.heard(), ["same second", "new", "without a time", "odd time", "odder time", "more than a time", "less than a time"])

    def test_without_the_servers_clock_ours_is_asked_with_a_minute_to_spare(self) -> None:
        self.prepare(clock=False)
        for seconds, text in ((-3600, "an hour ago"), (-61, "just too old"), (-59, "clocks differ"), (0, "now"), (5, "later")):
            self.server(tagged(self.wall + seconds, f":alice!a@h PRIVMSG #a :{text}"))
        self.server(tagged(self.wall - 3600, ":alice!a@h PRIVMSG worker :private and old"),
                    tagged(self.wall + 1, ":alice!a@h PRIVMSG worker :private"))
        self.assertEqual(self.heard(), ["clocks differ", "now", "later", "private"])

    def test_a_batch_of_history_is_not_heard_and_other_batches_are(self) -> None:
        self.prepare()
        self.server(":s BATCH +1 chathistory #a", "@batch=1 :alice!a@h PRIVMSG #a :old", "@batch=1 :s BATCH +2 whatever #a",
                    "@batch=2 :alice!a@h PRIVMSG #a :within", ":alice!a@h PRIVMSG #a :between", ":s BATCH -2", ":s BATCH -1",
                    ":s BATCH +3 znc.in/playback #a", "@batch=3 :alice!a@h PRIVMSG #a :played", ":s BATCH -3",
                    ":s BATCH +1 draft/multiline #a", "@batch=1 :alice!a@h PRIVMSG #a :new", ":s BATCH -1", ":s BATCH", ":s BATCH +", ":s BATCH x")
        self.assertEqual(self.heard(), ["between", "new"])

    def test_a_history_that_only_words_announce_is_over_when_the_server_answers(self) -> None:
        self.prepare(clock=False)
        out = self.server(":s NOTICE #a :Replaying up to 20 lines of pre-join history from the last 1h")
        self.assertRegex(out[0], "^PING :history-")
        self.server(":alice!a@h PRIVMSG #a :old", ":s PONG s :other", ":alice!a@h PRIVMSG #a :older", ":alice!a@h PRIVMSG worker :private",
                    f":s PONG s {out[0].split(' ')[1]}", ":alice!a@h PRIVMSG #a :new", ":alice!a@h NOTICE #a :Replaying nothing",
                    ":alice!a@h PRIVMSG #a :newer")
        self.assertEqual(self.heard(), ["private", "new", "newer"])

    def test_a_history_without_an_end_is_not_waited_for_longer_than_a_minute(self) -> None:
        self.prepare(clock=False)
        self.server(":s NOTICE #a :Replaying the chat history", ":alice!a@h PRIVMSG #a :old")
        self.wall += 60
        self.server(":alice!a@h PRIVMSG #a :new")
        self.assertEqual(self.heard(), ["new"])

    def test_a_bouncer_that_plays_its_buffer_is_not_answered(self) -> None:
        self.prepare(clock=False)
        self.server(":***!znc@znc.in PRIVMSG #a :Buffer Playback...", ":alice!a@h PRIVMSG #a :[12:00:00] worker: old",
                    ":***!znc@znc.in PRIVMSG #a :Playback Complete.", ":alice!a@h PRIVMSG #a :new",
                    ":*status!znc@znc.in PRIVMSG worker :You are connected")
        self.assertEqual(self.heard(), ["new"])

    def test_what_a_bouncer_says_of_itself_is_no_question(self) -> None:
        self.prepare(clock=False)
        self.server(":-bip!bip@bip.bip.bip PRIVMSG worker :Backlog follows", ":BouncerServ!BouncerServ@BouncerServ PRIVMSG worker :disconnected from libera",
                    ":-sBNC!bouncer@shroudbnc.info PRIVMSG worker :You were disconnected", ":*controlpanel!cp@elsewhere PRIVMSG worker :done",
                    ":HistServ!HistServ@localhost PRIVMSG #a :alice joined the channel", ":bouncerserv_fan!a@h PRIVMSG worker :a person", ":Histserv2!a@h PRIVMSG #a :another")
        self.assertEqual(self.heard(), ["a person", "another"])

    def test_parts_of_a_second_and_the_format_of_a_bouncer_are_times(self) -> None:
        self.prepare()
        self.server(tagged(self.SERVER + 100, ":worker!~agent@host JOIN #b").replace(".000Z", ".750Z"))
        self.server(tagged(self.SERVER + 100, ":alice!a@h PRIVMSG #b :old").replace(".000Z", ".700Z"),
                    tagged(self.SERVER + 100, ":alice!a@h PRIVMSG #b :new").replace(".000Z", ".800Z"),
                    tagged(self.SERVER + 101, ":alice!a@h PRIVMSG #b :whole").replace(".000Z", "Z"),
                    tagged(self.SERVER + 100, ":alice!a@h PRIVMSG #b :old as well").replace(".000Z", "Z"),
                    tagged(self.SERVER - 5, ":alice!a@h PRIVMSG #a :bouncer").replace("time=", "znc.in/server-time-iso="))
        self.assertEqual(self.heard(), ["new", "whole"])

    def test_a_private_line_is_old_if_it_is_older_than_the_greeting(self) -> None:
        self.start()
        self.sent()
        self.server(":s CAP * LS :", tagged(self.SERVER, ":s 001 worker :hi"), ":s 422 worker :-",
                    tagged(self.SERVER - 1, ":alice!a@h PRIVMSG worker :old"), tagged(self.SERVER + 1, ":alice!a@h PRIVMSG worker :new"))
        self.assertEqual(self.heard(), ["new"])

    def test_so_many_batches_that_none_can_be_told_do_no_harm(self) -> None:
        self.prepare()
        self.server(*[f":s BATCH +{number} chathistory #a" for number in range(100)], "@batch=5 :alice!a@h PRIVMSG #a :old",
                    *[f":s BATCH -{number}" for number in range(100)], ":s BATCH +7 chathistory #a", ":s BATCH 7",
                    "@batch=7 :alice!a@h PRIVMSG #a :older", ":s BATCH -7", "@batch=7 :alice!a@h PRIVMSG #a :new")
        self.assertEqual(self.heard(), ["new"])
        # No server opens so many; the first ones are known.
        self.server(*[f":s BATCH +{number} chathistory #a" for number in range(100)], "@batch=63 :alice!a@h PRIVMSG #a :the last that is known",
                    "@batch=64 :alice!a@h PRIVMSG #a :beyond")
        self.assertEqual(self.heard(), ["new", "beyond"])

    def test_words_about_a_history_that_is_being_played_ask_once(self) -> None:
        self.prepare(clock=False)
        notice = ":s NOTICE #a :Replaying up to 20 lines of pre-join history"
        self.assertEqual(len(self.server(notice, ":s NOTICE #a :Nothing about it", notice)), 1)
        self.assertEqual(self.server(":s NOTICE #a :Something else", ":s NOTICE #elsewhere :Replaying history"), [])
        self.server(":op!o@h KICK #a worker :x", ":worker!~agent@host JOIN #a", ":alice!a@h PRIVMSG #a :new")
        self.assertEqual(self.heard(), ["new"])

    def test_after_coming_back_what_was_said_in_between_is_old(self) -> None:
        self.prepare()
        self.server(":op!o@h KICK #a worker :x", tagged(self.SERVER + 100, ":worker!~agent@host JOIN #a"),
                    tagged(self.SERVER + 50, ":alice!a@h PRIVMSG #a :missed"), tagged(self.SERVER + 101, ":alice!a@h PRIVMSG #a :new"))
        self.assertEqual(self.heard(), ["new"])


class Speaking(SessionTest):
    def prepare(self, host: str = "host.example", linelen: str = "") -> None:
        self.registered({"#a": ""}, isupport=f"CASEMAPPING=ascii {linelen}", limits={"ping_interval_s": 10000})
        if host:
            self.server(f":worker!~agent@{host} JOIN #a")
        self.later(30)

    def full_line(self, out: str, user_host: str) -> bytes:
        """The line as others get it, with the prefix that the server adds."""
        return f":worker!{user_host} {out}\r\n".encode()

    def test_every_line_fits_512_bytes_with_the_prefix_of_the_server(self) -> None:
        rng = random.Random(6)
        for host in ("h", "host.example", "x" * 63):
            self.prepare(host)
            for target in ("#a", "#a-much-longer-channel-name", "alice"):
                text = "".join(rng.choice("ab é漢😀") for _ in range(900))
                self.assertTrue(self.session.say(target, text))
                lines = self.later(30)
                full = [self.full_line(line, f"~agent@{host}") for line in lines]
                self.assertTrue(all(len(line) <= 512 for line in full))
                self.assertGreater(max(len(line) for line in full), 490)
                said = "".join(line.split(" :", 1)[1] for line in lines)
                self.assertEqual(said.replace(" ", ""), text.replace(" ", ""))

    def test_before_its_own_host_is_known_the_longest_is_assumed(self) -> None:
        self.prepare(host="")
        self.session.say("alice", "x" * 2000)
        for line in self.later(30):
            self.assertLessEqual(len(self.full_line(line, "~agent@" + "h" * 63)), 512)

    def test_a_cloak_given_later_is_counted(self) -> None:
        self.prepare()
        before = self.session.text_room("#a")
        self.server(":s 396 worker user/with/a/long/cloak.example :is now your host")
        self.assertEqual(self.session.text_room("#a"), before - len("user/with/a/long/cloak.example") + len("host.example"))
        self.server(":worker!~agent@x CHGHOST u h")
        self.assertEqual(self.session.text_room("#a"), before + len("~agent@host.example") - len("u@h"))
        self.server(":s 311 worker worker ~agent host.example * :me")
        self.assertEqual(self.session.text_room("#a"), before)

    def test_a_server_that_allows_longer_lines_gets_longer_lines(self) -> None:
        self.prepare(linelen="LINELEN=2048")
        self.session.say("#a", "x" * 1500)
        self.assertEqual(len(self.later(5)), 1)

    def test_what_a_server_would_cut_is_not_sent(self) -> None:
        self.prepare()
        # A target so long that even the least of text fits only just, or not.
        for length, fits in ((436, True), (437, False)):
            target = "#" + "a" * (length - 1)
            self.server(f":worker!~agent@host.example JOIN {target}")
            self.assertTrue(self.session.say(target, "x" * 64))
            self.assertEqual([len(line) + 2 for line in self.later(5)], [512] * fits)

    def test_text_can_never_become_a_command(self) -> None:
        self.prepare()
        for text in ("x\r\nQUIT :gone", "a\nJOIN #evil", "\rPRIVMSG bob :x", "a\0b", "\x01DCC SEND\x01", "/quit", "QUIT"):
            self.session.say("#a", text)
        for line in self.later(30):
            self.assertTrue(line.startswith("PRIVMSG #a :"), line)
            self.assertNotIn("\x01", line)
        for target in ("", "a b", "#a,#b", ":x"):
            self.assertFalse(self.session.say(target, "text"))

    def test_a_burst_of_five_and_then_one_a_second(self) -> None:
        self.prepare()
        for number in range(10):
            self.session.say("#a", f"line {number}")
        self.assertEqual(len(self.sent()), 5)
        self.assertEqual(len(self.later(0.9)), 0)
        self.assertEqual(len(self.later(0.2)), 1)
        self.assertEqual(len(self.later(2.0)), 2)

    def test_targets_take_turns(self) -> None:
        self.prepare()
        for number in range(6):
            self.session.say("#a", f"long {number}")
        self.session.say("alice", "short")
        self.assertIn("PRIVMSG alice :short", self.sent()[:2])

    def test_a_pong_overtakes_what_waits(self) -> None:
        self.prepare()
        for number in range(50):
            self.session.say("#a", f"line {number}")
        self.sent()
        self.assertEqual(self.server("PING :token 1"), ["PONG :token 1"])

    def test_too_much_text_is_refused_and_not_hoarded(self) -> None:
        self.prepare()
        with self.assertLogs("irc", "WARNING"):
            results = [self.session.say("#a", f"line {number}") for number in range(500)]
        self.assertEqual(results.count(True), 400)
        self.session.forget_waiting("#A")
        self.assertTrue(self.session.say("#a", "again"))

    def test_after_quit_nothing_else_is_said(self) -> None:
        self.prepare()
        self.session.say("#a", "too late")
        self.session.quit("shutting\r\ndown")
        self.assertEqual(self.sent(), ["QUIT :shuttingdown"])
        self.assertEqual(self.later(100), [])

    def test_leaving_a_channel_drops_what_waited_for_it(self) -> None:
        self.prepare()
        for number in range(20):
            self.session.say("#a", f"line {number}")
        self.sent()
        self.server(":op!o@h KICK #a worker")
        self.assertEqual([line for line in self.later(20) if line.startswith("PRIVMSG")], [])


    def test_leaving_a_channel_drops_what_waited_for_a_part_of_it(self) -> None:
        self.prepare(linelen="STATUSMSG=@+")
        for number in range(20):
            self.session.say("@#a", f"line {number}")
        self.sent()
        self.server(":op!o@h KICK #a worker")
        self.assertEqual([line for line in self.later(20) if line.startswith("PRIVMSG")], [])


class Watching(SessionTest):
    def test_a_silent_server_is_asked_and_then_given_up(self) -> None:
        self.registered(limits={"ping_interval_s": 60, "ping_timeout_s": 30})
        self.server(":s NOTICE * :alive")
        self.assertEqual(self.later(59), [])
        self.assertRegex(self.later(2)[0], "^PING :fireclaw-")
        self.later(28)
        self.assertEqual(self.session.closing, "")
        due = self.session.deadline(self.now)
        self.assertAlmostEqual(due, self.now + 1, 3)
        self.now = due
        self.sent()
        self.assertIn("ping timeout", self.session.closing)
        self.assertEqual(len(self.of(Closing)), 1)

    def test_any_word_from_the_server_keeps_it_alive(self) -> None:
        self.registered(limits={"ping_interval_s": 60, "ping_timeout_s": 30})
        for _ in range(20):
            self.later(50)
            self.server(":s PONG s :fireclaw-1")
        self.assertEqual(self.session.closing, "")

    def test_a_kill_for_flooding_is_recognised(self) -> None:
        for reason, flooded, unwelcome in (
            ("Closing Link: worker[host] (Excess Flood)", True, False), ("Max SendQ exceeded", True, False),
            ("Closing Link: (K-lined: no bots)", False, True), ("Ping timeout: 120 seconds", False, False),
            ("Bad Password", False, True), ("Server going down", False, False),
            ("Closing Link: [192.0.2.1] (Throttled: Reconnecting too fast) - Email a@b for more information.", False, False),
            ("Trying to reconnect too fast.", False, False), ("Closing Link: 192.0.2.1 (SASL access only)", False, True),
            ("Closing link: (agent@host) [Z:Lined (no bots)]", False, True), ("Closing link: (agent@host) [Access denied by configuration]", False, True),
            ("Closing Link: host (Too many host connections (local))", False, True), ("You are not authorised to use this server", False, True),
            ("No more connections allowed in your connection class", False, True), ("Too many clients online right now", False, False),
            ("Closing Link: the off-line mode is declined", False, False), ("Closing Link: host (Client Quit)", False, False),
        ):
            self.registered()
            self.server(f"ERROR :{reason}")
            self.assertEqual((self.session.flooded, self.session.unwelcome), (flooded, unwelcome), reason)
            self.assertIn(reason, self.session.closing)

    def test_a_kill_by_a_person_is_a_ban_and_a_collision_is_not(self) -> None:
        for reason, unwelcome in (("op (no bots here)", True), ("irc.test (Nick collision)", False), ("irc.test (Nickname collision (new))", False),
                                  ("services. (GHOST command used by bob)", False), ("NickServ (Nickname regained by services)", False),
                                  ("", True)):
            self.registered()
            self.server(f":irc.test KILL worker :{reason}")
            self.assertEqual(self.session.unwelcome, unwelcome, reason)
        self.registered()
        self.server(":irc.test KILL alice :op (spam)")
        self.assertFalse(self.session.unwelcome)

    def test_nothing_is_read_after_the_end(self) -> None:
        self.registered({"#a": ""})
        self.events += self.session.feed(b"ERROR :bye\r\n:worker!u@h JOIN #a\r\n", self.now)
        self.assertEqual(self.of(Joined), [])

    def test_the_password_is_kept_out_of_the_log(self) -> None:
        with self.assertLogs("irc", "DEBUG") as logs:
            self.start(server={"password": "hunter2", "sasl": {"user": "u", "password": "hunter3"}})
            self.sent()
            self.server(":s CAP * LS :sasl", ":s CAP * ACK :sasl", "AUTHENTICATE +")
        text = "\n".join(logs.output)
        self.assertIn("AUTHENTICATE ***", text)
        self.assertNotIn("hunter2", text)
        self.assertNotIn(base64.b64encode(b"\0u\0hunter3").decode(), text)


if __name__ == "__main__":
    unittest.main()
