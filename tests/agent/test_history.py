"""Channels with a history, on a real InspIRCd: old lines are not answered, however the server tells of them."""

import unittest
from typing import Any

from harness import FolderTest, settings
import inspircd
from bot_process import BotProcess
from irc_client import Human
from scripted_llm import ScriptedLlm


@unittest.skipIf(inspircd.PATH is None, "inspircd is not installed")
class History(FolderTest):
    def come_back(self, *modules: str, bots: str = "yes") -> None:
        """The bot answers, goes, comes back to a channel that says it all again, and answers what is new only."""
        more = f'<module name="chanhistory">\n<chanhistory maxlines="50" prefixmsg="yes" bots="{bots}">\n'
        server = inspircd.Inspircd(self.folder, more=more + "".join(f'<module name="{module}">\n' for module in modules))
        self.addCleanup(server.stop)
        llm = ScriptedLlm([{"reply": {"content": "Hello!"}}])
        self.addCleanup(llm.close)
        alice = Human(server.port, "alice")
        self.addCleanup(alice.__exit__)
        alice.join("#agents")
        alice.send("MODE #agents +H 20:1h")
        alice.expect(r"\S+ MODE #agents \+H")
        value: Any = settings(name="worker", server={"port": server.port}, llm={"url": llm.url})
        with BotProcess(self.path("worker"), value):
            alice.expect(r"worker!\S+ JOIN")
            alice.say("#agents", "worker: what is two and two?")
            alice.hears("worker", "#agents", "alice: Hello!")
        alice.expect(r"worker!\S+ QUIT")
        alice.say("#agents", "worker: are you gone?")
        with BotProcess(self.path("worker"), value):
            alice.expect(r"worker!\S+ JOIN")
            alice.say("worker", "a private question")
            alice.expect(r"worker!\S+ PRIVMSG alice :Hello!")
            alice.say("#agents", "worker: and now?")
            alice.hears("worker", "#agents", "alice: Hello!")
        self.assertEqual(len(llm.requests), 3)

    def test_a_server_that_marks_old_lines_by_a_batch_and_their_time(self) -> None:
        self.come_back("ircv3_servertime", "ircv3_batch")

    def test_a_server_that_only_gives_their_time(self) -> None:
        self.come_back("ircv3_servertime")

    def test_a_server_that_only_announces_them_in_words(self) -> None:
        self.come_back()

    def test_a_server_that_spares_bots(self) -> None:
        self.come_back("botmode", bots="no")


if __name__ == "__main__":
    unittest.main()
