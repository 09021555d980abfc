"""The agent's configuration: one JSON file, read into values that cannot change, checked field by field.

Every mistake is a ConfigError that begins with the path of the field, such as `server.port`. Required are `nick` (or
`name`), `server.host`, `llm.url` and `llm.model`; everything else has the default that the classes below show.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from dataclasses import dataclass, field, fields, replace
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from .names import fold

DEFAULT_PATH = "/run/fireclaw/agent.json"
_MAX_FILE_BYTES = 1 << 20

_NICK = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]{0,29}")
_DURATION = re.compile(r"-?[0-9]+(\.[0-9]+)?(ms|s|m|h)")


class ConfigError(ValueError):
    """What is wrong with the configuration, in one line, beginning with the field."""


# What a field is: its default, and how it is read. One without a default has to be given.


def _field(read: "Callable[[_Reader, str], Any]", *default: Any, secret: bool = False) -> Any:
    if default:
        return field(default=default[0], repr=not secret, metadata={"read": read})
    return field(repr=not secret, metadata={"read": read})


def _text(pattern: str, must: str, *default: str, secret: bool = False) -> Any:
    fits, missing = re.compile(pattern, re.S), default[0] if default else None
    return _field(lambda reader, name: reader.text(name, missing, fits, must, secret), *default, secret=secret)


def _texts(default: Optional[Tuple[str, ...]], pattern: str, must: str) -> Any:
    fits = re.compile(pattern)
    return _field(lambda reader, name: reader.texts(name, default, fits, must), default)


def _choice(default: str, *allowed: str) -> Any:
    return _field(lambda reader, name: reader.choice(name, default, allowed), default)


def _flag(default: Optional[bool]) -> Any:
    return _field(lambda reader, name: reader.flag(name, default), default)


def _whole(default: Optional[int], low: int, high: int) -> Any:
    return _field(lambda reader, name: reader.whole(name, default, low, high), default)


def _number(default: Optional[float], low: float, high: float) -> Any:
    return _field(lambda reader, name: reader.number(name, default, low, high), default)


def _count(default: Optional[int]) -> Any:
    return _whole(default, 1, 1 << 20)


def _seconds(default: Optional[float]) -> Any:
    return _number(default, 0.01, 86400.0)


def _absolute_path() -> Any:
    return _text(r"|/[^\x00\r\n]*", "must be an absolute path", "")


def _masks(default: Optional[Tuple[str, ...]]) -> Any:
    return _texts(default, r"[^ \x00-\x1f!@]+![^ \x00-\x1f!@]+@[^ \x00-\x1f!@]+", "must be a mask like nick!user@host")


def _section(kind: type) -> Any:
    return _field(lambda reader, name: _read(kind, reader.section(name)), kind())


def _switch(kind: type) -> Any:
    """A section with the field `enabled`, or just true or false. An object that does not say it is enabled."""

    def read(reader: "_Reader", name: str) -> Any:
        value = reader.take(name)
        if value is None:
            return kind()
        if isinstance(value, bool):
            return kind(enabled=value)
        inner = _Reader(value, reader.path(name))
        inner.suppose("enabled", True)
        return _read(kind, inner)

    return _field(read, kind())


def _sasl(reader: "_Reader", name: str) -> "Optional[Sasl]":
    value = reader.take(name)
    return None if value is None else _read(Sasl, _Reader(value, reader.path(name)))


def _url(reader: "_Reader", name: str) -> str:
    must = "must be an http:// or https:// URL"
    value = reader.text(name, None, re.compile(r"https?://[\x21-\x7e]+"), must)
    try:
        parts = urllib.parse.urlsplit(value)
        fits = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits:
        raise reader.wrong(name, must, value)
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(f"{reader.path(name)}: must not hold a user, a query or a fragment; keys go to llm.api_key")
    return value.rstrip("/")


def _keep_alive(reader: "_Reader", name: str) -> Union[str, int, None]:
    value = reader.take(name)
    fits = not isinstance(value, bool) and (value is None or isinstance(value, int))
    if not fits and not (isinstance(value, str) and _DURATION.fullmatch(value)):
        raise reader.wrong(name, 'must be seconds or a duration like "10m"', value)
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Sasl:
    user: str = _text(r"[^\x00\r\n]{1,128}", "must be a user name")
    password: str = _text(r"[^\x00\r\n]{1,1024}", "must be a password", secret=True)


@dataclass(frozen=True)
class Server:
    host: str = _text(r"[A-Za-z0-9._:%-]{1,255}", "must be a host name or an address")
    # With TLS: 6697.
    port: int = _field(lambda reader, name: reader.whole(name, 6697 if reader.has("tls") else 6667, 1, 65535), 6667)
    password: str = _text(r"[^\x00\r\n]{0,400}", "must be a password", "", secret=True)
    tls: bool = _flag(False)
    tls_verify: bool = _flag(True)
    ca_file: str = _absolute_path()
    sasl: Optional[Sasl] = _field(_sasl, None)


@dataclass(frozen=True)
class Timeouts:
    connect_s: float = _seconds(10.0)
    # Loading a model into memory happens before the first token.
    first_token_s: float = _seconds(180.0)
    idle_s: float = _seconds(60.0)
    total_s: float = _seconds(600.0)


@dataclass(frozen=True)
class Llm:
    url: str = _field(_url)
    model: str = _text(r"[^\x00-\x20\x7f]{1,200}", "must be a model's name")
    api: str = _choice("ollama", "ollama", "openai")
    temperature: Optional[float] = _number(None, 0.0, 2.0)
    # How many tokens the model reads. Ollama is told; of other servers it is assumed.
    num_ctx: int = _whole(8192, 256, 1 << 22)
    max_tokens: Optional[int] = _count(None)
    think: Optional[bool] = _flag(None)
    keep_alive: Union[str, int, None] = _field(_keep_alive, None)
    api_key: str = _text(r"[\x21-\x7e]{0,4096}", "must be printable text", "", secret=True)
    ca_file: str = _absolute_path()
    timeouts: Timeouts = _section(Timeouts)


@dataclass(frozen=True)
class Containers:
    enabled: bool = _flag(False)
    network: bool = _flag(False)
    memory_mib: int = _whole(256, 16, 1 << 20)
    cpus: float = _number(1.0, 0.01, 1024.0)
    pids: int = _whole(256, 1, 1 << 22)


@dataclass(frozen=True)
class Tools:
    enabled: bool = _flag(False)
    steps: int = _whole(8, 1, 100)
    timeout_s: float = _number(60.0, 0.1, 3600.0)
    output_bytes: int = _whole(8192, 256, 1 << 20)
    # nick!user@host masks of those whose questions may use tools; empty: everyone's; None: the operators', or everyone's
    # where no operators are named.
    allow: Optional[Tuple[str, ...]] = _masks(None)
    containers: Containers = _switch(Containers)


@dataclass(frozen=True)
class Peers:
    # Nicks or nick!user@host masks of other bots.
    bots: Tuple[str, ...] = _texts((), r"[^ \x00-\x1f]+", "must be a nick or a mask like nick!user@host")
    # A user whose real name fits is a bot too; every agent's own real name does by default.
    realname: str = _text(r"[^\x00-\x1f\x7f]*", "must be text on one line", "fireclaw agent*")
    cooldown_s: float = _number(10.0, 0.0, 86400.0)
    max_turns: int = _whole(4, 0, 1000)


@dataclass(frozen=True)
class Limits:
    queue: int = _count(4)
    turn_s: float = _seconds(900.0)
    turns_per_minute: int = _count(12)
    answer_lines: int = _count(5)
    answer_chars: int = _count(20000)
    context_messages: int = _count(40)
    context_chars: int = _count(12000)
    conversations: int = _count(64)
    channels: int = _count(20)
    # None: what the server takes.
    message_burst: Optional[int] = _count(None)
    message_interval_s: Optional[float] = _seconds(None)
    connect_s: float = _seconds(20.0)
    register_s: float = _seconds(60.0)
    ping_interval_s: float = _seconds(60.0)
    ping_timeout_s: float = _seconds(30.0)
    regain_s: float = _seconds(30.0)
    reconnect_first_s: float = _seconds(1.0)
    reconnect_max_s: float = _seconds(300.0)


@dataclass(frozen=True)
class Config:
    name: str
    nick: str
    server: Server = _field(lambda reader, name: _read(Server, reader.section(name)))
    llm: Llm = _field(lambda reader, name: _read(Llm, reader.section(name)))
    user: str = _text(r"[A-Za-z0-9._~-]{1,20}", "must be a user name of at most 20 letters, digits, . _ ~ -", "agent")
    # Empty: "fireclaw agent" and the name.
    realname: str = _text(r"[^\x00-\x1f\x7f]{1,120}", "must be 1 to 120 characters on one line", "")
    channels: Tuple[str, ...] = _texts(("#agents",), r"[#&+!][^ ,:\x00-\x1f\x7f]{1,63}( [^ ,\x00-\x1f\x7f]{1,63})?",
                                       'must be a channel like "#agents" or "#agents key"')
    # "mention": when addressed by nick. "all": every line. Anything else: lines that begin with it, too.
    trigger: str = _text(r"\S[^\x00-\x1f\x7f]{0,63}", "must be 1 to 64 characters", "mention")
    operators: Tuple[str, ...] = _masks(())
    # The people whose invitations it follows; empty: the operators, or everyone if no operators are named.
    invite_policy: str = _choice("", "anyone", "operators", "nobody")
    persona: str = _text(r"[^\x00]{1,20000}", "must be 1 to 20000 characters", "You are a helpful assistant.")
    tools: Tools = _switch(Tools)
    peers: Peers = _section(Peers)
    limits: Limits = _section(Limits)
    workspace: str = _text(r"/[^\x00\r\n]*", "must be an absolute path", "/workspace")
    status_file: str = _absolute_path()
    # The way to web servers by name, for commands.
    http_proxy: str = _text(r"|http://[0-9.]+:[0-9]+", "must be http://ADDRESS:PORT", "")
    log_level: str = _choice("info", "debug", "info", "warning", "error")

    @property
    def home_channel(self) -> str:
        return self.channels[0].split(" ")[0] if self.channels else ""

    def may_use_tools(self) -> Tuple[str, ...]:
        """The masks of those whose questions can use tools; without any: everyone's."""
        return self.operators if self.tools.allow is None else self.tools.allow

    def invites_from(self) -> str:
        """The people whose invitations it follows: "anyone", "operators" or "nobody"."""
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

    def has(self, name: str) -> bool:
        return self._left.get(name) is True

    def suppose(self, name: str, value: object) -> None:
        """What a field is that is absent."""
        if self._left.get(name) is None:
            self._left[name] = value

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


def _read(kind: type, reader: _Reader, **known: Any) -> Any:
    """The fields of `kind` but for those that are known, and no others."""
    values = {item.name: item.metadata["read"](reader, item.name) for item in fields(kind) if item.name not in known}
    reader.finish()
    return kind(**known, **values)


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
    config: Config = _read(Config, reader, name=name_given or nick, nick=nick)
    seen: Dict[str, int] = {}
    for index, channel in enumerate(config.channels):
        folded = fold(channel.split(" ")[0])
        if folded in seen:
            raise ConfigError(f"channels[{index}]: {_kind(channel)} is already channels[{seen[folded]}]")
        seen[folded] = index
    return config if config.realname else replace(config, realname=f"fireclaw agent {config.name}")


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
