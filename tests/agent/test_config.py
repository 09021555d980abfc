"""The configuration file: every mistake is named with its field."""

import json
import unittest
from typing import Any, Dict, List, Tuple

from harness import FolderTest, make_config, settings
from bot.base.config import Config, ConfigError, load, parse
from bot.reload import merge

_FULL: Dict[str, Any] = {
    "schema": 1, "name": "worker-1", "nick": "worker", "user": "wk", "realname": "A bot",
    "server": {"host": "irc.example", "port": 7000, "password": "p", "tls": True, "tls_verify": False, "ca_file": "/etc/ca.pem",
               "sasl": {"user": "u", "password": "s"}},
    "channels": ["#agents", "#secret key"], "trigger": "!w", "operators": ["op!*@*"], "invite_policy": "operators",
    "llm": {"api": "openai", "url": "http://10.0.0.1:8080/v1/", "model": "qwen2.5:7b", "temperature": 0.2, "num_ctx": 8192,
            "max_tokens": 500, "think": False, "keep_alive": "10m", "api_key": "k", "ca_file": "/ca", "timeouts": {"idle_s": 5}},
    "persona": "You are\nkind.", "tools": {"enabled": True, "steps": 3, "timeout_s": 5, "output_bytes": 1000, "allow": ["op!*@*"],
                                           "containers": {"enabled": True, "network": True, "memory_mib": 100, "cpus": 0.5, "pids": 10}},
    "peers": {"bots": ["coder"], "realname": "x*", "cooldown_s": 1, "max_turns": 2}, "limits": {"queue": 2},
    "workspace": "/ws", "status_file": "/run/s.json", "http_proxy": "http://172.16.0.1:10080", "log_level": "debug",
}


class Reading(FolderTest):
    def test_a_full_configuration(self) -> None:
        config = parse(_FULL)
        self.assertEqual((config.nick, config.server.port, config.llm.url), ("worker", 7000, "http://10.0.0.1:8080/v1"))
        self.assertEqual((config.llm.timeouts.idle_s, config.tools.containers.cpus, config.limits.queue), (5.0, 0.5, 2))
        self.assertEqual(config.home_channel, "#agents")
        self.assertEqual(sorted(config.secrets()), ["k", "p", "s"])

    def test_a_minimal_configuration_has_defaults(self) -> None:
        config = make_config()
        self.assertEqual((config.nick, config.realname, config.channels), ("worker", "fireclaw agent worker", ("#agents",)))
        self.assertEqual((config.peers.cooldown_s, config.tools.enabled), (10.0, False))
        self.assertEqual(parse({**settings(), "server": {"host": "h", "tls": True}}).server.port, 6697)

    def test_tools_may_be_just_on_or_off(self) -> None:
        self.assertTrue(make_config(tools=True).tools.enabled)
        self.assertFalse(make_config(tools=False).tools.enabled)
        self.assertTrue(make_config(tools={"containers": True}).tools.containers.enabled)

    def test_tools_and_invitations_are_for_operators_where_any_are_named(self) -> None:
        named, nobody = make_config(operators=["op!*@*"], tools=True), make_config(tools=True)
        self.assertEqual((named.may_use_tools(), named.invites_from()), (("op!*@*",), "operators"))
        self.assertEqual((nobody.may_use_tools(), nobody.invites_from()), ((), "anyone"))
        asked = make_config(operators=["op!*@*"], tools={"allow": ["alice!*@*"]}, invite_policy="anyone")
        self.assertEqual((asked.may_use_tools(), asked.invites_from()), (("alice!*@*",), "anyone"))
        # An empty list is everybody, null is what nobody wrote.
        self.assertEqual(make_config(operators=["op!*@*"], tools={"allow": []}).may_use_tools(), ())
        self.assertEqual(make_config(operators=["op!*@*"], tools={"allow": None}, invite_policy=None).may_use_tools(), ("op!*@*",))

    def test_every_mistake_names_its_field(self) -> None:
        for path, value, expected in (
            ("nick", "1bad", 'nick: must be a valid IRC nick of at most 30 characters, not "1bad"'),
            ("server.host", None, "server.host: is missing; must be a host name or an address"),
            ("server.host", "a b", 'server.host: must be a host name or an address, not "a b"'),
            ("server.port", "6667", 'server.port: must be a whole number from 1 to 65535, not "6667"'),
            ("server.port", 0, "server.port: must be a whole number from 1 to 65535, not 0"),
            ("server.port", True, "server.port: must be a whole number from 1 to 65535, not true"),
            ("server.tls", "yes", 'server.tls: must be true or false, not "yes"'),
            ("server.sasl", {"user": "u"}, "server.sasl.password: is missing; must be a password"),
            ("server.sasl", 5, "server.sasl: must be an object, not 5"),
            ("server.hots", "x", "server.hots: unknown field"),
            ("channels", "#a", 'channels: must be a list, not "#a"'),
            ("channels", ["#a", "b"], 'channels[1]: must be a channel like "#agents" or "#agents key", not "b"'),
            ("channels", ["#a\r\nQUIT"], 'channels[0]: must be a channel like "#agents" or "#agents key", not "#a\\r\\nQUIT"'),
            ("channels", ["#a", "#A key"], 'channels[1]: "#A key" is already channels[0]'),
            ("operators", ["alice"], 'operators[0]: must be a mask like nick!user@host, not "alice"'),
            ("invite_policy", "all", 'invite_policy: must be "anyone", "operators" or "nobody", not "all"'),
            ("llm.url", "ftp://x", 'llm.url: must be an http:// or https:// URL, not "ftp://x"'),
            ("llm.url", "http://:80", 'llm.url: must be an http:// or https:// URL, not "http://:80"'),
            ("llm.url", "http://h:0", 'llm.url: must be an http:// or https:// URL, not "http://h:0"'),
            ("llm.url", "http://h:99999", 'llm.url: must be an http:// or https:// URL, not "http://h:99999"'),
            ("llm.url", "http://u:p@h", "llm.url: must not hold a user, a query or a fragment; keys go to llm.api_key"),
            ("llm.url", "http://h/v1?key=k", "llm.url: must not hold a user, a query or a fragment; keys go to llm.api_key"),
            ("llm.url", "http://h/v1#k", "llm.url: must not hold a user, a query or a fragment; keys go to llm.api_key"),
            ("llm.model", "", 'llm.model: must be a model\'s name, not ""'),
            ("llm.api", "x", 'llm.api: must be "ollama" or "openai", not "x"'),
            ("llm.temperature", 9, "llm.temperature: must be a number from 0 to 2, not 9"),
            ("llm.keep_alive", "soon", 'llm.keep_alive: must be seconds or a duration like "10m", not "soon"'),
            ("llm.timeouts", {"idle_s": 0}, "llm.timeouts.idle_s: must be a number from 0.01 to 86400, not 0"),
            ("tools", {"steps": 0}, "tools.steps: must be a whole number from 1 to 100, not 0"),
            ("tools", {"containers": {"pids": "x"}}, 'tools.containers.pids: must be a whole number from 1 to 4194304, not "x"'),
            ("limits.queue", 1.5, "limits.queue: must be a whole number from 1 to 1048576, not 1.5"),
            ("realname", "a\nb", 'realname: must be 1 to 120 characters on one line, not "a\\nb"'),
            ("workspace", "relative", 'workspace: must be an absolute path, not "relative"'),
            ("schema", 2, "schema: must be 1, not 2"),
            ("colour", "red", "colour: unknown field"),
        ):
            value_tree = settings()
            place = value_tree
            *sections, name = path.split(".")
            for section in sections:
                place = place.setdefault(section, {})
            place[name] = value
            with self.assertRaises(ConfigError) as caught:
                parse(value_tree)
            self.assertEqual(str(caught.exception), expected)

    def test_a_secret_is_never_repeated(self) -> None:
        for tree in (settings(llm={"api_key": "my secret\n"}), settings(server={"password": "my secret\n"}),
                     settings(server={"sasl": {"user": "u", "password": "my secret\n"}})):
            with self.assertRaises(ConfigError) as caught:
                parse(tree)
            self.assertNotIn("secret\n", str(caught.exception))
            self.assertNotIn("my secret", str(caught.exception))
        self.assertNotIn("'k'", repr(parse(_FULL)))
        self.assertNotIn("'s'", repr(parse(_FULL)))

    def test_files_that_are_no_configuration(self) -> None:
        for text, expected in (("{", "is not JSON"), ("[]", "must be an object, not a list"), ('{"name": NaN}', "NaN is not JSON"),
                               ("[" * 100000, "nested too deeply"), ("", "is not JSON")):
            with self.assertRaises(ConfigError) as caught:
                load(self.write("agent.json", text))
            self.assertIn(expected, str(caught.exception))
        with open(self.path("agent.json"), "wb") as file:
            file.write(b'{"name": "\xff"}')
        with self.assertRaisesRegex(ConfigError, "is not UTF-8"):
            load(self.path("agent.json"))
        with self.assertRaisesRegex(ConfigError, "cannot read .*no-such"):
            load(self.path("no-such"))

    def test_no_value_of_any_kind_makes_the_check_fail_otherwise(self) -> None:
        odd: Any = (None, True, -1, 10**40, 1e308, "", "x" * 100000, [], [[]], {}, {"a": 1}, "\ud800", "a\0b")

        def paths(tree: Any, prefix: "tuple[str, ...]" = ()) -> Any:
            for name, value in tree.items():
                yield (*prefix, name)
                if isinstance(value, dict):
                    yield from paths(value, (*prefix, name))

        for path in paths(_FULL):
            for value in odd:
                tree = json.loads(json.dumps(_FULL))
                place = tree
                for name in path[:-1]:
                    place = place[name]
                place[path[-1]] = value
                try:
                    self.assertIsInstance(parse(tree), Config)
                except ConfigError as error:
                    self.assertNotIn("\n", str(error))


class Reloading(unittest.TestCase):
    def test_only_what_changed_is_listed(self) -> None:
        old = make_config()
        cases: List[Tuple[Dict[str, Any], List[str]]] = [
            ({}, []),
            ({"llm": {"model": "phi4-mini"}}, ["model=phi4-mini"]),
            ({"llm": {"url": "http://other:1", "model": "m2"}}, ["model=m2", "llm=http://other:1"]),
            ({"llm": {"api_key": "k"}}, ["llm.api_key"]),
            ({"persona": "new\nlines"}, ["persona"]),
            ({"trigger": "all"}, ["trigger=all"]),
            ({"tools": True}, ["tools=on"]),
            ({"tools": {"enabled": False, "steps": 2}}, ["tools"]),
            ({"nick": "coder"}, ["nick=coder"]),
            ({"operators": ["op!*@*"]}, ["operators"]),
            ({"server": {"host": "h2"}, "channels": ["#b"]}, ["server", "channels"]),
        ]
        for change, expected in cases:
            merged, changes = merge(old, make_config(**change))
            self.assertEqual(changes, expected)
            self.assertEqual(merged, make_config(**change))

    def test_what_cannot_change_while_running_stays_and_is_said(self) -> None:
        merged, changes = merge(make_config(), make_config(workspace="/elsewhere"))
        self.assertEqual((merged.workspace, changes), ("/workspace", ["workspace (after a restart)"]))


if __name__ == "__main__":
    unittest.main()
