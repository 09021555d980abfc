"""Token bucket, pacer and backoff, with a clock that the test moves."""

import random
import unittest

import harness  # noqa: F401
from bot.base.pacing import Backoff, Pacer, TokenBucket
from bot.irc.outbox import Outbox


class Bucket(unittest.TestCase):
    def test_a_burst_then_one_an_interval(self) -> None:
        bucket = TokenBucket(5, 1.0, 0.0)
        self.assertEqual([bucket.take(0.0) for _ in range(6)], [True] * 5 + [False])
        self.assertEqual(bucket.ready_at(0.0), 1.0)
        self.assertFalse(bucket.take(0.9))
        self.assertTrue(bucket.take(bucket.ready_at(0.9)))
        self.assertFalse(bucket.take(1.0))

    def test_it_never_holds_more_than_the_burst(self) -> None:
        bucket = TokenBucket(2, 1.0, 0.0)
        self.assertEqual([bucket.take(1000.0) for _ in range(3)], [True, True, False])

    def test_no_window_sees_more_than_burst_plus_rate(self) -> None:
        rng = random.Random(4)
        bucket, now, taken = TokenBucket(5, 1.0, 0.0), 0.0, []
        for _ in range(3000):
            now += rng.random() * 0.5
            if bucket.take(now):
                taken.append(now)
        for start in range(len(taken)):
            within = [at for at in taken[start:] if at <= taken[start] + 10.0]
            self.assertLessEqual(len(within), 5 + 10 + 1)

    def test_what_cannot_wait_is_paid_for_later(self) -> None:
        bucket = TokenBucket(2, 1.0, 0.0)
        for _ in range(4):
            bucket.charge(0.0)
        self.assertEqual(bucket.ready_at(0.0), 3.0)

    def test_what_cannot_wait_is_never_owed_for_longer_than_a_burst(self) -> None:
        for charges in (4, 5, 50):
            bucket = TokenBucket(2, 1.0, 0.0)
            for _ in range(charges):
                bucket.charge(0.0)
            self.assertEqual(bucket.ready_at(0.0), 3.0)
            self.assertFalse(bucket.take(3.0 - 1e-3))
            self.assertTrue(bucket.take(3.0))
        bucket = TokenBucket(2, 1.0, 0.0)
        for _ in range(3):
            bucket.charge(0.0)
        self.assertEqual(bucket.ready_at(0.0), 2.0)

    def test_the_moment_that_it_names_is_the_moment_that_it_allows(self) -> None:
        # Intervals whose sums are not round numbers.
        for interval in (0.1, 0.3, 0.7, 1 / 3):
            bucket, now = TokenBucket(1, interval, 0.0), 1e6
            for _ in range(2000):
                now = bucket.ready_at(now)
                self.assertTrue(bucket.take(now), (interval, now))

    def test_a_clock_that_steps_back_does_no_harm(self) -> None:
        self.assertTrue(TokenBucket(2, 1.0, 100.0).take(50.0))
        bucket = TokenBucket(1, 1.0, 100.0)
        self.assertTrue(bucket.take(100.0))
        self.assertFalse(bucket.take(50.0))
        self.assertTrue(bucket.take(101.0))


class Sending(unittest.TestCase):
    def outbox(self, burst: int = 2) -> Outbox:
        return Outbox(Pacer(burst, 1.0, 0.0), 0.0)

    def test_urgent_lines_go_at_once_and_are_paid_for_by_what_comes_after(self) -> None:
        outbox = self.outbox()
        for number in range(3):
            outbox.urgent(f"PONG :{number}\r\n".encode())
        outbox.text("#a", "#a", "hello")
        self.assertEqual(len(outbox.take(0.0, only_urgent=False)), 3)
        self.assertEqual(outbox.ready_at(0.0), 2.0)
        self.assertEqual(outbox.take(1.9, only_urgent=False), [])
        self.assertEqual(outbox.take(2.0, only_urgent=False), [b"PRIVMSG #a :hello\r\n"])

    def test_the_registration_costs_nothing(self) -> None:
        outbox = self.outbox()
        for word in (b"CAP", b"NICK", b"USER", b"PONG"):
            outbox.urgent(word)
        outbox.command(b"JOIN #a\r\n")
        self.assertEqual(len(outbox.take(0.0, only_urgent=True)), 4)
        self.assertEqual(outbox.take(0.0, only_urgent=False), [b"JOIN #a\r\n"])

    def test_commands_go_before_text_and_wait_once(self) -> None:
        outbox = self.outbox(burst=1)
        outbox.text("#a", "#a", "hello")
        outbox.command(b"WHOIS a\r\n")
        outbox.command(b"WHOIS a\r\n")
        self.assertEqual([outbox.take(float(second), False) for second in range(3)], [[b"WHOIS a\r\n"], [b"PRIVMSG #a :hello\r\n"], []])
        self.assertEqual(outbox.ready_at(2.0), float("inf"))

    def test_of_text_each_target_has_its_turn(self) -> None:
        outbox = self.outbox(burst=10)
        for key, lines in (("#a", "123"), ("#b", "45"), ("c", "6")):
            for line in lines:
                outbox.text(key, key, line)
        sent = [line.decode().split(":")[1].strip() for line in outbox.take(0.0, only_urgent=False)]
        self.assertEqual(sent, ["1", "4", "6", "2", "5", "3"])

    def test_what_waits_for_a_nick_goes_to_the_one_it_was_changed_to(self) -> None:
        outbox = self.outbox()
        for line in "123":
            outbox.text("alice", "Alice", line)
        outbox.take(0.0, only_urgent=False)
        outbox.rename("alice", "bea", "Bea")
        outbox.rename("nobody", "carl", "Carl")
        self.assertEqual(outbox.take(1.0, only_urgent=False), [b"PRIVMSG Bea :3\r\n"])

    def test_what_was_sent_makes_room_for_more(self) -> None:
        outbox = self.outbox(burst=10000)
        for _ in range(3):
            self.assertEqual([outbox.text("#a", "#a", "x") for _ in range(401)], [True] * 400 + [False])
            self.assertEqual(len(outbox.take(0.0, only_urgent=False)), 400)
        outbox.text("#a", "#a", "x")
        outbox.forget("#a")
        self.assertEqual([outbox.text("#b", "#b", "x") for _ in range(401)], [True] * 400 + [False])


class Pace(unittest.TestCase):
    def test_an_hour_has_to_pass_before_a_flood_is_forgiven(self) -> None:
        pacer = Pacer(4, 1.0, 0.0)
        pacer.slow_down(10.0)
        pacer.restart(10.0 + Pacer.FORGIVEN_AFTER)
        self.assertEqual(pacer.slowness, 2.0)
        pacer.restart(10.1 + Pacer.FORGIVEN_AFTER)
        self.assertEqual(pacer.slowness, 1.0)


    def test_after_a_flood_it_is_slower_and_after_an_hour_forgiven(self) -> None:
        pacer = Pacer(4, 1.0, 0.0)
        pacer.slow_down(10.0)
        pacer.restart(10.0)
        self.assertEqual([pacer.take(10.0) for _ in range(3)], [True, True, False])
        self.assertEqual(pacer.ready_at(10.0), 12.0)
        pacer.restart(10.0 + 3599)
        self.assertEqual(pacer.slowness, 2.0)
        pacer.restart(10.0 + 3601)
        self.assertEqual([pacer.take(3611.0) for _ in range(5)], [True] * 4 + [False])

    def test_it_slows_down_only_so_far(self) -> None:
        pacer = Pacer(5, 1.0, 0.0)
        for _ in range(10):
            pacer.slow_down(0.0)
        pacer.restart(0.0)
        self.assertTrue(pacer.take(0.0))
        self.assertEqual(pacer.ready_at(0.0), Pacer.SLOWEST)


class Waiting(unittest.TestCase):
    def test_delays_double_up_to_the_longest_and_are_shortened_by_chance(self) -> None:
        backoff = Backoff(1.0, 60.0, random.Random(1))
        for expected in (1, 2, 4, 8, 16, 32, 60, 60):
            delay = backoff.next()
            self.assertGreaterEqual(delay, expected / 2)
            self.assertLessEqual(delay, expected)

    def test_two_agents_do_not_wait_the_same_time(self) -> None:
        delays = {round(Backoff(8.0, 60.0, random.Random(seed)).next(), 3) for seed in range(50)}
        self.assertGreater(len(delays), 40)

    def test_a_refusal_waits_long_at_once_and_a_reset_starts_again(self) -> None:
        backoff = Backoff(1.0, 300.0, random.Random(1))
        self.assertGreaterEqual(backoff.refused(), 150.0)
        self.assertGreaterEqual(backoff.next(), 150.0)
        backoff.reset()
        self.assertLessEqual(backoff.next(), 1.0)

    def test_a_thousand_failures_do_not_overflow(self) -> None:
        backoff = Backoff(1.0, 300.0, random.Random(1))
        self.assertLessEqual(max(backoff.next() for _ in range(2000)), 300.0)


if __name__ == "__main__":
    unittest.main()
