"""Agents on a network with real services, where they log in."""

import unittest
from typing import Any

from harness import FolderTest, settings
import atheme
import inspircd
from bot_process import BotProcess
from irc_client import Human
from scripted_llm import ScriptedLlm


@unittest.skipIf(inspircd.PATH is None or atheme.PATH is None, "inspircd or atheme-services is not installed")
class LoggingIn(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.server = inspircd.Inspircd(self.folder, services=True)
        self.addCleanup(self.server.stop)
        self.addCleanup(atheme.Atheme(self.folder, self.server).stop)
        self.llm = ScriptedLlm([{"reply": {"content": "Hello!"}}])
        self.addCleanup(self.llm.close)
        self.alice = Human(self.server.port, "alice")
        self.addCleanup(self.alice.__exit__)
        self.alice.join("#agents")
        with Human(self.server.port, "worker") as owner:
            owner.register("sesame")
            owner.send("QUIT")

    def bot(self, password: str) -> BotProcess:
        server: Any = {"port": self.server.port, "sasl": {"user": "worker", "password": password}}
        bot = BotProcess(self.path("worker"), settings(name="worker", server=server, llm={"url": self.llm.url}))
        self.addCleanup(bot.__exit__)
        return bot

    def test_it_is_logged_in_before_it_joins(self) -> None:
        self.bot("sesame")
        self.alice.expect(r"worker\S*!\S+ JOIN")
        self.alice.send("WHOIS worker")
        self.alice.expect(r"\S+ 330 alice worker worker ")
        self.alice.say("#agents", "worker: hi")
        self.alice.hears("worker", "#agents", "alice: Hello!")

    def test_it_stays_away_without_its_account(self) -> None:
        bot = self.bot("wrong")
        bot.wait_log("SASL login failed")
        self.assertEqual(self.alice.nicks("#agents"), ["alice"])


if __name__ == "__main__":
    unittest.main()
