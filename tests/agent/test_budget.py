"""What the model is given fits what it can read, and the question and the rules are always in it."""

import dataclasses
import random
import unittest
from typing import Any, List

from harness import make_config
from bot.llm.budget import Meter, fit, shorten_notes, size_of
from bot.llm.conversation import Said, ToolCall


def total(messages: List[Said]) -> int:
    return sum(len(said.content) for said in messages)


def meter(**llm: Any) -> Meter:
    return Meter(make_config(llm=llm).llm)


class Counting(unittest.TestCase):
    def test_text_counts_by_its_bytes_so_that_every_script_fits(self) -> None:
        messages = [Said("system", "s"), *[Said("user", "你好世界" * 100) for _ in range(5)], Said("user", "q")]
        room = meter(num_ctx=1024).room(0)
        fitted = fit(messages, 6, room)
        self.assertLessEqual(size_of(fitted), room)
        self.assertLess(sum(len(said.content.encode()) for said in fitted) // 3, 1024)
        self.assertIn("你好", fitted[-1].content)

    def test_thoughts_and_what_is_sealed_beside_calls_count_as_well(self) -> None:
        call = ToolCall("run_command", {"command": "ls"}, "call00001")
        plain = size_of([Said("assistant", "", (call,))])
        for said in (Said("assistant", "", (call,), thought="h" * 500, thought_field="reasoning"), Said("assistant", "", (call,), details=({"data": "h" * 500},)),
                     Said("assistant", "", (dataclasses.replace(call, extra={"google": "h" * 500}),))):
            self.assertGreaterEqual(size_of([said]), plain + 500)

    def test_what_a_server_counts_corrects_the_estimate_at_once_upwards_and_slowly_downwards(self) -> None:
        counted = meter(num_ctx=4096)
        before = counted.room(0)
        counted.learn(3000, 2000)
        self.assertEqual(counted.room(0), before // 2)
        for _ in range(3):
            counted.learn(3000, 800)
        self.assertTrue(before // 2 < counted.room(0) < before, counted.room(0))
        for _ in range(100):
            counted.learn(3000, 1)
        # Some servers count what they had read before as nothing.
        self.assertLessEqual(counted.room(0), before * 2)
        counted.learn(3000, 0)
        counted.learn(0, 5)

    def test_a_refusal_is_believed(self) -> None:
        refused = meter(num_ctx=8192)
        refused.refused(9000, 1024, 0)
        self.assertEqual(refused.context_tokens, 1024)
        # However often a server refuses, there is room for a question.
        small = meter(num_ctx=1024)
        for _ in range(20):
            small.refused(1000, 0, 0)
        self.assertEqual(small.context_tokens, 256)
        # A count that cannot be, as of what a server put before the prompt, leaves room too.
        wild = meter(num_ctx=8192)
        wild.learn(3, 1000)
        self.assertEqual(wild.scale, 6.0)
        # The context is as large as was thought, so the text has more tokens than was thought.
        denser = meter(num_ctx=2048)
        denser.refused(4000, 2048, 4000)
        self.assertEqual((denser.context_tokens, denser.scale), (2048, 3.0))
        # A server that gives no numbers has still refused this much.
        unknown = meter(num_ctx=8192)
        unknown.refused(9000, 0, 0)
        self.assertEqual(unknown.context_tokens, 2000)


class Fitting(unittest.TestCase):
    def test_the_room_leaves_some_for_the_answer(self) -> None:
        self.assertEqual(meter(num_ctx=4096).room(0), (4096 - 1024) * 3)
        self.assertEqual(meter(num_ctx=4096, max_tokens=96).room(600), 4000 * 3 - 600)
        self.assertGreaterEqual(meter(num_ctx=256).room(100000), 1000)

    def test_what_fits_is_left_alone(self) -> None:
        messages = [Said("system", "s"), Said("user", "old"), Said("assistant", "a"), Said("user", "q")]
        self.assertEqual(fit(messages, 3, 100), messages)

    def test_old_tool_output_goes_before_old_conversation_and_that_before_the_latest_output(self) -> None:
        messages = [Said("system", "s" * 500), Said("user", "old" * 50), Said("assistant", "old" * 50), Said("user", "q" * 100),
                    Said("assistant", "", (ToolCall("f", {}),)),
                    Said("tool", "[tool q]\n" + "a" * 5000 + "\n[/tool q]"), Said("assistant", "", (ToolCall("f", {}),)),
                    Said("tool", "[tool q]\n" + "b" * 5000 + "\n[/tool q]")]
        fitted = fit(messages, 3, 7000)
        self.assertEqual([said.role for said in fitted], [said.role for said in messages])
        self.assertTrue(fitted[5].content.startswith("[tool q]\naaa") and fitted[5].content.endswith("aaa\n[/tool q]"))
        self.assertLess(len(fitted[5].content), 300)
        self.assertEqual(fitted[7], messages[7])
        fitted = fit(messages, 3, 6000)
        self.assertEqual([said.role for said in fitted], ["system", "user", "assistant", "tool", "assistant", "tool"])
        self.assertEqual(fitted[1], messages[3])
        fitted = fit(messages, 3, 3000)
        self.assertIn("left out to make room", fitted[5].content)
        self.assertLessEqual(total(fitted), 3000)

    def test_a_conversation_does_not_begin_with_an_answer_because_of_it(self) -> None:
        messages = [Said("system", "s"), Said("user", "x" * 900), Said("assistant", "answer"), Said("user", "q")]
        self.assertEqual(fit(messages, 3, 500), [messages[0], messages[3]])

    def test_whatever_comes_the_rules_and_the_question_stay_and_it_fits(self) -> None:
        rng = random.Random(10)
        for _ in range(500):
            old = [Said(rng.choice(["user", "assistant"]), "o" * rng.randrange(3000)) for _ in range(rng.randrange(6))]
            question = Said("user", "Q" + "q" * rng.randrange(2000))
            after: List[Said] = []
            for number in range(rng.randrange(5)):
                after += [Said("assistant", "", (ToolCall("f", {"n": number}),)), Said("tool", "t" * rng.randrange(8000))]
            messages = [Said("system", "s" * 1000), *old, question, *after]
            fitted = fit(messages, len(old) + 1, 6000)
            self.assertEqual(fitted[0], messages[0])
            self.assertEqual([said.calls for said in fitted if said.calls], [said.calls for said in messages if said.calls])
            self.assertFalse(any(one.role == two.role != "tool" for one, two in zip(fitted, fitted[1:])))
            self.assertEqual(sum(said.role == "tool" for said in fitted), sum(said.role == "tool" for said in messages))
            self.assertTrue(any("Q" in said.content for said in fitted))
            self.assertLessEqual(size_of(fitted), 6000)

    def test_notes_get_a_quarter_and_are_cut_at_a_line(self) -> None:
        notes = "\n".join(f"- note {number}" for number in range(1000))
        short = shorten_notes(notes, 4000)
        self.assertLessEqual(len(short), 1000)
        lines = short.split("\n")
        self.assertIn("search_memory", lines[-1])
        self.assertRegex(lines[-2], r"^- note \d+$")
        self.assertEqual(lines[0], "- note 0")
        self.assertEqual(shorten_notes("- one", 4000), "- one")
        # A quarter of the room, to the byte.
        self.assertEqual(shorten_notes("- ä", 16), "- ä")
        self.assertNotEqual(shorten_notes("- ä", 15), "- ä")


if __name__ == "__main__":
    unittest.main()
