"""The fireclaw agent: an IRC bot that thinks with a local LLM and works with tools inside its own microVM.

Only the standard library is used, and nothing newer than Python 3.9 has. `python3 -m bot --help` says how to run it;
the configuration file is described in `config`. From the bottom up:

    text, files, cancel       plain helpers: text for IRC, atomic files, one way to stop a piece of work
    irc_protocol, pacing      messages as values; token bucket and reconnect backoff
    session                   one IRC connection as a state machine: bytes and time in, bytes and events out
    link                      sockets, TLS, reconnecting: keeps a session alive on the event loop
    transport, llm, ollama, openai_api   one streamed HTTP exchange; the two LLM protocols on top of it
    workspace, shell, memory, audit, tools   what the model may do, and the record of what it did
    context, peers, prompt    what was said, who is a bot, what the model is told
    turns, agent              a question and its way to an answer (worker thread); the bot's behaviour (event loop)
    status, main              what the host can see; start, signals, waiting for a configuration
"""

__version__ = "0.1.0"
