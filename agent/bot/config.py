"""The agent's configuration: one JSON file, read into values that cannot change, checked field by field.

Every mistake is a ConfigError that begins with the path of the field, such as `server.port`. Required are `nick` (or
`name`), `server.host`, `llm.url` and `llm.model`; everything else has the default that the classes below show.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Optional, Tuple, Union

from .irc_protocol import fold

DEFAULT_PATH = "/run/fireclaw/agent.json"
_MAX_FILE_BYTES = 1 << 20

_NICK = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]{0,29}")
_USER = re.compile(r"[A-Za-z0-9._~-]{1,20}")
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,255}")
_CHANNEL = re.compile(r"[#&+!][^ ,:\x00-\x1f\x7f]{1,63}( [^ ,\x00-\x1f\x7f]{1,63})?")
_MASK = re.compile(r"[^ \x00-\x1f!@]+![^ \x00-\x1f!@]+@[^ \x00-\x1f!@]+")
_LINE = re.compile(r"[^\x00-\x1f\x7f]*")
_DURATION = re.compile(r"-?[0-9]+(\.[0-9]+)?(ms|s|m|h)")


class ConfigError(ValueError):
    """What is wrong with the configuration, in one line, beginning with the field."""


@dataclass(frozen=True)
class Sasl:
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Server:
    host: str
    port: int = 6667
    password: str = field(default="", repr=False)
    tls: bool = False
    tls_verify: bool = True
    ca_file: str = ""
    sasl: Optional[Sasl] = None


@dataclass(frozen=True)
class Timeouts:
    connect_s: float = 10.0
    # Loading a model into memory happens before the first token.
    first_token_s: float = 180.0
    idle_s: float = 60.0
    total_s: float = 600.0


@dataclass(frozen=True)
class Llm:
    url: str
    model: str
    api: str = "ollama"
    temperature: Optional[float] = None
    # How many tokens the model reads. Ollama is told; of other servers it is assumed.
    num_ctx: int = 8192
    max_tokens: Optional[int] = None
    think: Optional[bool] = None
    keep_alive: Union[str, int, None] = None
    api_key: str = field(default="", repr=False)
    ca_file: str = ""
    timeouts: Timeouts = Timeouts()


@dataclass(frozen=True)
class Containers:
    enabled: bool = False
    network: bool = False
    memory_mib: int = 256
    cpus: float = 1.0
    pids: int = 256


@dataclass(frozen=True)
class Tools:
    enabled: bool = False
    steps: int = 8
    timeout_s: float = 60.0
    output_bytes: int = 8192
    # nick!user@host masks of those whose questions may use tools; empty: everyone's; None: the operators', or everyone's
    # where no operators are named.
    allow: Optional[Tuple[str, ...]] = None
    containers: Containers = Containers()


@dataclass(frozen=True)
class Peers:
    # Nicks or nick!user@host masks of other bots.
    bots: Tuple[str, ...] = ()
    # A user whose real name fits is a bot too; every agent's own real name does by default.
    realname: str = "fireclaw agent*"
    cooldown_s: float = 10.0
    max_turns: int = 4


@dataclass(frozen=True)
class Limits:
    queue: int = 4
    turn_s: float = 900.0
    turns_per_minute: int = 12
    answer_lines: int = 5
    answer_chars: int = 20000
    context_messages: int = 40
    context_chars: int = 12000
    conversations: int = 64
    channels: int = 20
    # None: what the server takes.
    message_burst: Optional[int] = None
    message_interval_s: Optional[float] = None
    connect_s: float = 20.0
    register_s: float = 60.0
    ping_interval_s: float = 60.0
    ping_timeout_s: float = 30.0
    regain_s: float = 30.0
    reconnect_first_s: float = 1.0
    reconnect_max_s: float = 300.0


@dataclass(frozen=True)
class Config:
    name: str
    nick: str
    server: Server
    llm: Llm
    user: str = "agent"
    realname: str = ""
    channels: Tuple[str, ...] = ("#agents",)
    # "mention": when addressed by nick. "all": every line. Anything else: lines that begin with it, too.
    trigger: str = "mention"
    operators: Tuple[str, ...] = ()
    # Whose invitations are followed; empty: the operators', or everyone's where no operators are named.
    invite_policy: str = ""
    persona: str = "You are a helpful assistant."
    tools: Tools = Tools()
    peers: Peers = Peers()
    limits: Limits = Limits()
    workspace: str = "/workspace"
    status_file: str = ""
    log_level: str = "info"

    @property
    def home_channel(self) -> str:
        return self.channels[0].split(" ")[0] if self.channels else ""

    def may_use_tools(self) -> Tuple[str, ...]:
        """The masks of those whose questions can use tools; without any: everyone's."""
        return self.operators if self.tools.allow is None else self.tools.allow

    def invites_from(self) -> str:
        """Whose invitations are followed: "anyone", "operators" or "nobody"."""
        return self.invite_policy or ("operators" if self.operators else "anyone")

    def secrets(self) -> List[str]:
        """What must never reach a log, a channel or the model."""
        found = [self.server.password, self.llm.api_key]
        if self.server.sasl is not None:
            found.append(self.server.sasl.password)
        return [secret for secret in found if secret]


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 60 else value[:57] + "...", ensure_ascii=False)
    return "a list" if isinstance(value, list) else "an object"


class _Reader:
    """Takes fields out of a JSON object; whatever is left at the end is a mistake. A field that is null counts as
    absent. A secret field's value is never repeated in an error."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise ConfigError(f"{path or 'configuration'}: must be an object, not {_kind(value)}")
        self._left: Dict[str, Any] = dict(value)
        self._path = path

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def take(self, name: str) -> Any:
        return self._left.pop(name, None)

    def wrong(self, name: str, must: str, value: object, secret: bool = False) -> ConfigError:
        if value is None:
            return ConfigError(f"{self.path(name)}: is missing; {must}")
        return ConfigError(f"{self.path(name)}: {must}" + ("" if secret else f", not {_kind(value)}"))

    def text(self, name: str, default: Optional[str], pattern: "re.Pattern[str]", must: str, secret: bool = False) -> str:
        value = self.take(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.wrong(name, must, value, secret)
        return value

    def choice(self, name: str, default: str, allowed: Tuple[str, ...]) -> str:
        value = self.take(name)
        if value is None:
            return default
        if value not in allowed:
            quoted = [f'"{word}"' for word in allowed]
            raise self.wrong(name, "must be " + ", ".join(quoted[:-1]) + " or " + quoted[-1], value)
        return str(value)

    def flag(self, name: str, default: Optional[bool]) -> Any:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false", value)
        return value

    def whole(self, name: str, default: Optional[int], low: int, high: int) -> Any:
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(name, f"must be a whole number from {low} to {high}", value)
        return value

    def number(self, name: str, default: Optional[float], low: float, high: float) -> Any:
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.wrong(name, f"must be a number from {low:g} to {high:g}", value)
        return float(value)

    def texts(self, name: str, default: Optional[Tuple[str, ...]], pattern: "re.Pattern[str]", must: str) -> Any:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, list):
            raise self.wrong(name, "must be a list", value)
        for index, item in enumerate(value):
            if not isinstance(item, str) or not pattern.fullmatch(item):
                raise ConfigError(f"{self.path(name)}[{index}]: {must}, not {_kind(item)}")
        return tuple(value)

    def section(self, name: str) -> "_Reader":
        value = self.take(name)
        return _Reader({} if value is None else value, self.path(name))

    def finish(self) -> None:
        if self._left:
            raise ConfigError(f"{self.path(sorted(self._left)[0])}: unknown field")


_ANY_LINE = (_LINE, "must be text on one line")
_PATH = re.compile(r"/[^\x00\r\n]*")


def _server(reader: _Reader) -> Server:
    host = reader.text("host", None, _HOST, "must be a host name or an address")
    tls = reader.flag("tls", False)
    sasl_value = reader.take("sasl")
    sasl = None
    if sasl_value is not None:
        sasl_reader = _Reader(sasl_value, reader.path("sasl"))
        sasl = Sasl(
            sasl_reader.text("user", None, re.compile(r"[^\x00\r\n]{1,128}"), "must be a user name"),
            sasl_reader.text("password", None, re.compile(r"[^\x00\r\n]{1,1024}"), "must be a password", secret=True),
        )
        sasl_reader.finish()
    server = Server(
        host=host,
        port=reader.whole("port", 6697 if tls else 6667, 1, 65535),
        password=reader.text("password", "", re.compile(r"[^\x00\r\n]{0,400}"), "must be a password", secret=True),
        tls=tls,
        tls_verify=reader.flag("tls_verify", True),
        ca_file=reader.text("ca_file", "", re.compile(r"|/[^\x00\r\n]*"), "must be an absolute path"),
        sasl=sasl,
    )
    reader.finish()
    return server


def _url(reader: _Reader) -> str:
    value = reader.text("url", None, re.compile(r"https?://[\x21-\x7e]+"), "must be an http:// or https:// URL")
    try:
        parts = urllib.parse.urlsplit(value)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        raise reader.wrong("url", "must be an http:// or https:// URL", value) from None
    if not parts.hostname or not port_fits:
        raise reader.wrong("url", "must be an http:// or https:// URL", value)
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(f"{reader.path('url')}: must not hold a user, a query or a fragment; keys go to llm.api_key")
    return value.rstrip("/")


def _llm(reader: _Reader) -> Llm:
    keep_alive = reader.take("keep_alive")
    if isinstance(keep_alive, bool) or not (
        keep_alive is None or isinstance(keep_alive, int) or (isinstance(keep_alive, str) and _DURATION.fullmatch(keep_alive))
    ):
        raise reader.wrong("keep_alive", 'must be seconds or a duration like "10m"', keep_alive)
    timeouts = reader.section("timeouts")
    defaults = Timeouts()
    llm = Llm(
        url=_url(reader),
        model=reader.text("model", None, re.compile(r"[^\x00-\x20\x7f]{1,200}"), "must be a model's name"),
        api=reader.choice("api", "ollama", ("ollama", "openai")),
        temperature=reader.number("temperature", None, 0.0, 2.0),
        num_ctx=reader.whole("num_ctx", Llm.num_ctx, 256, 1 << 22),
        max_tokens=reader.whole("max_tokens", None, 1, 1 << 20),
        think=reader.flag("think", None),
        keep_alive=keep_alive,
        api_key=reader.text("api_key", "", re.compile(r"[\x21-\x7e]{0,4096}"), "must be printable text", secret=True),
        ca_file=reader.text("ca_file", "", re.compile(r"|/[^\x00\r\n]*"), "must be an absolute path"),
        timeouts=Timeouts(*(timeouts.number(f.name, getattr(defaults, f.name), 0.01, 86400.0) for f in fields(Timeouts))),
    )
    timeouts.finish()
    reader.finish()
    return llm


def _tools(reader: _Reader) -> Tools:
    value = reader.take("tools")
    if isinstance(value, bool):
        return Tools(enabled=value)
    tools_reader = _Reader({} if value is None else value, reader.path("tools"))
    containers_value = tools_reader.take("containers")
    if isinstance(containers_value, bool):
        containers_value = {"enabled": containers_value}
    box = _Reader({} if containers_value is None else containers_value, tools_reader.path("containers"))
    tools = Tools(
        enabled=tools_reader.flag("enabled", value is not None),
        steps=tools_reader.whole("steps", 8, 1, 100),
        timeout_s=tools_reader.number("timeout_s", 60.0, 0.1, 3600.0),
        output_bytes=tools_reader.whole("output_bytes", 8192, 256, 1 << 20),
        allow=tools_reader.texts("allow", None, _MASK, "must be a mask like nick!user@host"),
        containers=Containers(
            enabled=box.flag("enabled", containers_value is not None),
            network=box.flag("network", False),
            memory_mib=box.whole("memory_mib", 256, 16, 1 << 20),
            cpus=box.number("cpus", 1.0, 0.01, 1024.0),
            pids=box.whole("pids", 256, 1, 1 << 22),
        ),
    )
    box.finish()
    tools_reader.finish()
    return tools


def _peers(reader: _Reader) -> Peers:
    peers = Peers(
        bots=reader.texts("bots", (), re.compile(r"[^ \x00-\x1f]+"), "must be a nick or a mask like nick!user@host"),
        realname=reader.text("realname", Peers.realname, *_ANY_LINE),
        cooldown_s=reader.number("cooldown_s", Peers.cooldown_s, 0.0, 86400.0),
        max_turns=reader.whole("max_turns", Peers.max_turns, 0, 1000),
    )
    reader.finish()
    return peers


def _limits(reader: _Reader) -> Limits:
    values: Dict[str, Any] = {}
    defaults = Limits()
    for item in fields(Limits):
        default = getattr(defaults, item.name)
        if item.name.endswith("_s"):
            values[item.name] = reader.number(item.name, default, 0.01, 86400.0)
        else:
            values[item.name] = reader.whole(item.name, default, 1, 1 << 20)
    reader.finish()
    return Limits(**values)


def parse(value: object) -> Config:
    """Checks a decoded JSON value."""
    reader = _Reader(value, "")
    schema = reader.take("schema")
    if schema not in (None, 1):
        raise reader.wrong("schema", "must be 1", schema)
    name_given = reader.text("name", "", re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"), "must be letters, digits, . _ -")
    nick_given = reader.take("nick")
    if nick_given is None and not name_given:
        raise ConfigError("nick: is missing; must be a valid IRC nick")
    nick = name_given if nick_given is None else nick_given
    if not isinstance(nick, str) or not _NICK.fullmatch(nick):
        field_name = "name" if nick_given is None else "nick"
        raise reader.wrong(field_name, "must be a valid IRC nick of at most 30 characters", nick)
    name = name_given or nick
    config = Config(
        name=name,
        nick=nick,
        user=reader.text("user", "agent", _USER, "must be a user name of at most 20 letters, digits, . _ ~ -"),
        realname=reader.text("realname", f"fireclaw agent {name}", re.compile(r"[^\x00-\x1f\x7f]{1,120}"),
                             "must be 1 to 120 characters on one line"),
        server=_server(reader.section("server")),
        channels=reader.texts("channels", ("#agents",), _CHANNEL, 'must be a channel like "#agents" or "#agents key"'),
        trigger=reader.text("trigger", "mention", re.compile(r"\S[^\x00-\x1f\x7f]{0,63}"), "must be 1 to 64 characters"),
        operators=reader.texts("operators", (), _MASK, "must be a mask like nick!user@host"),
        invite_policy=reader.choice("invite_policy", "", ("anyone", "operators", "nobody")),
        llm=_llm(reader.section("llm")),
        persona=reader.text("persona", Config.persona, re.compile(r"[^\x00]{1,20000}", re.S), "must be 1 to 20000 characters"),
        tools=_tools(reader),
        peers=_peers(reader.section("peers")),
        limits=_limits(reader.section("limits")),
        workspace=reader.text("workspace", Config.workspace, _PATH, "must be an absolute path"),
        status_file=reader.text("status_file", "", re.compile(r"|/[^\x00\r\n]*"), "must be an absolute path"),
        log_level=reader.choice("log_level", "info", ("debug", "info", "warning", "error")),
    )
    reader.finish()
    seen: Dict[str, int] = {}
    for index, channel in enumerate(config.channels):
        folded = fold(channel.split(" ")[0])
        if folded in seen:
            raise ConfigError(f"channels[{index}]: {_kind(channel)} is already channels[{seen[folded]}]")
        seen[folded] = index
    return config


def _no_constants(name: str) -> object:
    raise ConfigError(f"configuration: {name} is not JSON")


def load(path: str) -> Config:
    """Reads and checks the file. ConfigError also for a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"configuration: cannot read '{path}': {error.strerror}") from error
    if len(data) > _MAX_FILE_BYTES:
        raise ConfigError(f"configuration: '{path}' is larger than {_MAX_FILE_BYTES} bytes")
    try:
        return parse(json.loads(data.decode("utf-8"), parse_constant=_no_constants))
    except UnicodeDecodeError:
        raise ConfigError(f"configuration: '{path}' is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"configuration: '{path}' is not JSON: {error.msg} at line {error.lineno}") from None
    except RecursionError:
        raise ConfigError(f"configuration: '{path}' is nested too deeply") from None
