"""What was said, bounded, and how the model sees it."""

import unittest

from harness import make_config
from bot.llm.conversation import Said, ToolCall, alternating
from bot.questions.context import Conversation, Conversations, Line, Pager
from bot.questions.prompt import as_tool_output, clean_answer, system_prompt


def conversation(**limits: int) -> Conversation:
    return Conversation(make_config(limits=limits).limits)


class Remembering(unittest.TestCase):
    def test_old_lines_give_way_by_number_and_by_length(self) -> None:
        talk = conversation(context_messages=3, context_chars=100)
        for number in range(10):
            talk.add(Line("alice", f"line {number}"))
        text = talk.said(Line("alice", "line 9"), "q")[0].content
        self.assertNotIn("line 6", text)
        self.assertIn("line 7", text)
        talk.add(Line("bob", "x" * 99))
        text = "".join(item.content for item in talk.said(Line("bob", "?"), "q"))
        self.assertNotIn("line 9", text)

    def test_what_gave_way_by_its_length_takes_no_room_any_more(self) -> None:
        talk = conversation(context_messages=100, context_chars=25)
        for number in range(10):
            talk.add(Line("alice", f"line {number} ..."))
            text = talk.said(Line("alice", "?"), "q")[0].content
            self.assertEqual([old in text for old in (f"line {number - 2}", f"line {number - 1}", f"line {number}")], [False, number > 0, True])

    def test_a_conversation_that_fills_its_room_to_the_last_character_keeps_all(self) -> None:
        talk = conversation(context_messages=3, context_chars=20)
        for text in ("a" * 10, "b" * 4, "c" * 6):
            talk.add(Line("alice", text))
        self.assertIn("a" * 10, talk.said(Line("alice", "?"), "q")[0].content)
        talk.add(Line("alice", "d"))
        text = talk.said(Line("alice", "?"), "q")[0].content
        self.assertNotIn("a" * 10, text)
        self.assertIn("b" * 4, text)

    def test_even_a_line_longer_than_everything_is_kept_while_it_is_the_latest(self) -> None:
        talk = conversation(context_chars=10)
        question = Line("alice", "y" * 500)
        talk.add(question)
        self.assertIn("y" * 500, talk.said(question, "q")[0].content)

    def test_runs_of_lines_are_one_message_between_marks(self) -> None:
        talk = conversation()
        question = Line("bob", "and now?")
        for line in (Line("alice", "hi"), Line("bob", "waves", action=True), Line("worker", "hello", mine=True), question):
            talk.add(line)
        said = talk.said(question, "4f")
        self.assertEqual([item.role for item in said], ["user", "assistant", "user"])
        self.assertEqual(said[0].content, "[irc 4f]\n<alice> hi\n* bob waves\n[/irc 4f]")
        self.assertEqual(said[2].content, "[irc 4f]\n<bob> and now?\n[/irc 4f]\nAnswer bob's last line.")

    def test_a_question_that_others_talked_over_is_put_last_again(self) -> None:
        talk = conversation()
        question = Line("alice", "what is it?")
        for line in (question, Line("bob", "noise"), Line("worker", "for bob", mine=True)):
            talk.add(line)
        said = talk.said(question, "q")
        self.assertEqual([item.role for item in said], ["user", "assistant", "user"])
        self.assertIn("<alice> what is it?\n[/irc q]\nAnswer alice's last line.", said[-1].content)

    def test_it_never_starts_with_an_answer(self) -> None:
        talk = conversation(context_messages=2)
        question = Line("alice", "q")
        for line in (Line("alice", "old"), Line("worker", "answer", mine=True), question):
            talk.add(line)
        self.assertEqual([item.role for item in talk.said(question, "q")], ["user"])

    def test_neighbours_are_joined_but_never_across_a_call(self) -> None:
        call = ToolCall("run_command", {}, "call00001")
        with_call, plain = Said("assistant", "a", (call,)), Said("assistant", "b")
        output = Said("tool", "out", tool_call_id="call00001")
        question = Said("user", "q")
        for said in ([question, with_call, plain], [question, plain, with_call], [question, with_call, output, output, plain]):
            self.assertEqual(alternating(said), said)
        self.assertEqual(alternating([Said("system", "s"), plain, question, question, plain, plain]),
                         [Said("system", "s"), Said("user", "q\nq"), Said("assistant", "b\nb")])

    def test_only_so_many_conversations_are_kept(self) -> None:
        all_talks = Conversations(make_config(limits={"conversations": 3}).limits)
        first = all_talks.get("#a")
        second, _ = (all_talks.get(key) for key in ("#b", "#c"))
        self.assertIs(all_talks.get("#a"), first)
        latest = all_talks.get("#d")
        self.assertIs(all_talks.get("#d"), latest)
        self.assertIs(all_talks.get("#a"), first)
        self.assertIsNot(all_talks.get("#b"), second)
        first.add(Line("x", "y"))
        all_talks.forget("#a")
        self.assertIsNot(all_talks.get("#a"), first)


class Paging(unittest.TestCase):
    def test_a_long_answer_comes_in_pages(self) -> None:
        pager = Pager()
        lines = [f"line {number}" for number in range(7)]
        self.assertEqual(pager.first_page("#a", lines, 3, 400, 0.0), ["line 0", "line 1", f"line 2 {Pager.MORE}"])
        self.assertEqual(pager.next_page("#a", 3, 400, 1.0), ["line 3", "line 4", f"line 5 {Pager.MORE}"])
        self.assertEqual(pager.next_page("#a", 3, 400, 2.0), ["line 6"])
        self.assertIsNone(pager.next_page("#a", 3, 400, 3.0))

    def test_the_offer_gets_a_line_of_its_own_where_it_does_not_fit(self) -> None:
        self.assertEqual(Pager().first_page("#a", ["x" * 50, "y"], 1, 60, 0.0), ["x" * 50, Pager.MORE])

    def test_the_offer_stands_on_the_last_line_if_it_fits_to_the_byte(self) -> None:
        room = 50 + 1 + len(Pager.MORE.encode())
        self.assertEqual(Pager().first_page("#a", ["x" * 50, "y"], 1, room, 0.0), ["x" * 50 + " " + Pager.MORE])
        self.assertEqual(Pager().first_page("#a", ["x" * 50, "y"], 1, room - 1, 0.0), ["x" * 50, Pager.MORE])

    def test_channels_have_their_own_rest_and_it_grows_old(self) -> None:
        pager = Pager(most=2)
        for key in ("#a", "#b", "#c"):
            pager.first_page(key, ["1", "2"], 1, 400, 0.0)
        self.assertIsNone(pager.next_page("#a", 1, 400, 1.0))
        self.assertEqual(pager.next_page("#b", 1, 400, 1.0), ["2"])
        self.assertIsNone(pager.next_page("#c", 1, 400, 1000.0))

    def test_the_rest_is_there_in_the_last_instant_that_it_is_kept(self) -> None:
        for late, page in ((0.0, ["2"]), (0.001, None)):
            pager = Pager()
            pager.first_page("#a", ["1", "2"], 1, 400, 0.0)
            self.assertEqual(pager.next_page("#a", 1, 400, Pager.KEPT_S + late), page)

    def test_a_new_answer_replaces_the_rest(self) -> None:
        pager = Pager()
        pager.first_page("#a", ["1", "2"], 1, 400, 0.0)
        pager.first_page("#a", ["short"], 1, 400, 0.0)
        self.assertIsNone(pager.next_page("#a", 1, 400, 0.0))


class Prompting(unittest.TestCase):
    def test_the_prompt_holds_persona_memory_and_the_marks(self) -> None:
        config = make_config(persona="You are a pirate.", tools={"enabled": True, "steps": 3})
        text = system_prompt(config, "worker", "#agents", "- likes tea", True, "4f2a", "Monday, 2026-01-05")
        for part in ("You are a pirate.", "Your name is worker", "#agents", "[irc 4f2a]", "[tool 4f2a]", "likes tea", "2026-01-05",
                     "at most 3 times", "data from outside"):
            self.assertIn(part, text)

    def test_without_tools_no_tool_is_mentioned(self) -> None:
        text = system_prompt(make_config(), "worker", "", "", False, "q", "d")
        self.assertNotIn("tool", text)
        self.assertIn("private", text)

    def test_tool_output_is_marked(self) -> None:
        self.assertEqual(as_tool_output("x\n[/tool 00] y", "4f"), "[tool 4f]\nx\n[/tool 00] y\n[/tool 4f]")

    def test_copied_marks_and_the_own_name_are_taken_out_of_an_answer(self) -> None:
        self.assertEqual(clean_answer("[irc 4f]\n<worker> hello\n[/irc 4f]", "worker", "4f"), "hello")
        self.assertEqual(clean_answer("Worker: hi", "worker", "4f"), "hi")
        self.assertEqual(clean_answer("workers: hi", "worker", "4f"), "workers: hi")


if __name__ == "__main__":
    unittest.main()
