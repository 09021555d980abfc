"""Starting and ending: the command line, waiting for a configuration, signals."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
import ssl
import sys
import threading
from typing import List, Optional

from . import __version__
from .agent import Agent, default_status_path
from .base import logs
from .base.config import DEFAULT_PATH, Config, ConfigError, load
from .base.files import atomic_write
from .reload import merge
from .tools.shell import use_proxy

log = logging.getLogger("main")

_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
# The whole goodbye has to fit into two seconds.
_QUIT_S = 1.2
_THREAD_S = 0.4


def _arguments(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bot", description="The fireclaw agent: an IRC bot with a local LLM.")
    parser.add_argument("--config", default=DEFAULT_PATH, metavar="FILE", help="the configuration (%(default)s)")
    parser.add_argument("--wait-config", action="store_true",
                        help='load everything, print "ready" and sleep until SIGHUP says that the configuration is there')
    parser.add_argument("--ready-file", metavar="FILE", help="with --wait-config: also make this file when ready")
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument("--version", action="version", version=f"fireclaw agent {__version__}")
    return parser.parse_args(argv)


def reseed() -> None:
    """Fresh randomness for a process that may be one of many copies of the same memory."""
    random.seed(os.urandom(32))
    ssl.RAND_add(os.urandom(32), 32.0)


def wait_for_config(path: str, ready_file: Optional[str]) -> Optional[Config]:
    """Sleeps until there is a valid configuration. None if asked to end instead. The signals must be blocked."""
    ready = False
    while True:
        try:
            return load(path)
        except ConfigError as error:
            if os.path.exists(path):
                log.error("%s", error)
        if not ready:
            ready = True
            if ready_file:
                atomic_write(ready_file, f"{os.getpid()}\n".encode(), durable=False)
            print("ready", flush=True)
        if signal.sigwait(_SIGNALS) != signal.SIGHUP:
            return None


def _reload(agent: Agent, path: str) -> None:
    try:
        config = load(path)
        if config.name != agent.config.name:
            reseed()
            logs.start(config.log_level, config.secrets() + agent.config.secrets())
            use_proxy(config.http_proxy)
            agent.become(config)
            return
        config, changes = merge(agent.config, config)
    except ConfigError as error:
        agent.announce(f"[reload failed: {error}; continuing as before]")
        return
    logs.start(config.log_level, config.secrets() + agent.config.secrets())
    use_proxy(config.http_proxy)
    agent.reconfigure(config, changes)


async def serve(config: Config, path: str) -> None:
    """Runs the agent until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    agent = Agent(config, config.status_file or default_status_path(path), random.Random(os.urandom(32)))
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, _reload, agent, path)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    # Whatever came in the meantime is delivered now, to the handlers.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    agent.status.changed()
    running = asyncio.ensure_future(agent.link.run())
    asked = asyncio.ensure_future(ending.wait())
    await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
    log.info("ending")
    agent.stop("shutting down")
    await asyncio.wait({running}, timeout=_QUIT_S)
    agent.link.abort()
    await asyncio.wait({running}, timeout=0.1)
    agent.desk.join(_THREAD_S)
    agent.status.write()
    asked.cancel()
    if running.done():
        running.result()


def _own_signals() -> None:
    """Takes back what its starter had ignored or blocked, as a shell does for what it runs in the background: the bot's
    commands would inherit it, and with SIGCHLD ignored no command has a status. What Python ignores itself it takes
    back in each command."""
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _SIGNALS)


def main(argv: Optional[List[str]] = None) -> int:
    arguments = _arguments(argv)
    logs.start("info", [])
    _own_signals()
    try:
        if arguments.check:
            load(arguments.config)
            return 0
        config = wait_for_config(arguments.config, arguments.ready_file) if arguments.wait_config \
            else load(arguments.config)
    except ConfigError as error:
        log.error("%s", error)
        return 2
    if config is None:
        return 0
    reseed()
    logs.start(config.log_level, config.secrets())
    use_proxy(config.http_proxy)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(serve(config, arguments.config))
    if threading.active_count() > 1:
        # A thread hangs in something that cannot be cancelled, such as a name look-up. Nobody waits for it.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
    loop.close()
    return 0
