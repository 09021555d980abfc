"""What the model is given fits what it can read, and the question and the rules are always in it."""

import random
import unittest
from typing import List

from harness import make_config
from bot.budget import fit, room_for, shorten_notes
from bot.llm import Said, ToolCall


def total(messages: List[Said]) -> int:
    return sum(len(said.content) for said in messages)


class Fitting(unittest.TestCase):
    def test_the_room_leaves_some_for_the_answer(self) -> None:
        self.assertEqual(room_for(make_config(llm={"num_ctx": 4096}).llm, 0), (4096 - 1024) * 3)
        self.assertEqual(room_for(make_config(llm={"num_ctx": 4096, "max_tokens": 96}).llm, 600), 4000 * 3 - 600)
        self.assertGreaterEqual(room_for(make_config(llm={"num_ctx": 256}).llm, 100000), 1000)

    def test_what_fits_is_left_alone(self) -> None:
        messages = [Said("system", "s"), Said("user", "old"), Said("user", "q")]
        self.assertEqual(fit(messages, 2, 100), messages)

    def test_old_tool_output_goes_before_old_conversation_and_that_before_the_latest_output(self) -> None:
        messages = [Said("system", "s" * 500), Said("user", "old" * 100), Said("user", "q" * 100), Said("assistant", "", (ToolCall("f", {}),)),
                    Said("tool", "[tool q]\n" + "a" * 5000 + "\n[/tool q]"), Said("assistant", "", (ToolCall("f", {}),)),
                    Said("tool", "[tool q]\n" + "b" * 5000 + "\n[/tool q]")]
        fitted = fit(messages, 2, 7000)
        self.assertEqual([said.role for said in fitted], [said.role for said in messages])
        self.assertTrue(fitted[4].content.startswith("[tool q]\naaa") and fitted[4].content.endswith("aaa\n[/tool q]"))
        self.assertLess(len(fitted[4].content), 300)
        self.assertEqual(fitted[6], messages[6])
        fitted = fit(messages, 2, 6000)
        self.assertEqual([said.role for said in fitted], ["system", "user", "assistant", "tool", "assistant", "tool"])
        self.assertEqual(fitted[1], messages[2])
        fitted = fit(messages, 2, 3000)
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
            self.assertEqual(sum(said.role == "tool" for said in fitted), sum(said.role == "tool" for said in messages))
            self.assertTrue(any(said.content.startswith("Q") for said in fitted))
            self.assertLessEqual(total(fitted), 6000)

    def test_notes_get_a_quarter_and_are_cut_at_a_line(self) -> None:
        notes = "\n".join(f"- note {number}" for number in range(1000))
        short = shorten_notes(notes, 4000)
        self.assertLessEqual(len(short), 1000)
        lines = short.split("\n")
        self.assertIn("search_memory", lines[-1])
        self.assertRegex(lines[-2], r"^- note \d+$")
        self.assertEqual(lines[0], "- note 0")
        self.assertEqual(shorten_notes("- one", 4000), "- one")


if __name__ == "__main__":
    unittest.main()
