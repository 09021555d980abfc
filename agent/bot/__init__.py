"""The fireclaw agent: an IRC bot that thinks with a local LLM and works with tools inside its own microVM.

Only the standard library is used, and nothing newer than Python 3.9 has. `python3 -m bot --help` says how to run it;
the configuration file is described in `base/config`. Lowest first; each uses only those listed before it:

    base        text, names, atomic files, pace, configuration, log; one way to stop a piece of work
    irc         one connection as a state machine without socket or clock; link keeps it alive on the event loop
    llm         one streamed HTTP exchange, the protocols of LLM servers on top of it, and reading what they answer
    tools       what the model can do in its machine, and the record of what it did
    people      who is meant, who is answered, who is a bot
    questions   what was said, what the model is told, a question's way to an answer (worker thread)

Beside them `agent` is the bot's behaviour (event loop), `status` what the host can see, `main` start, signals, waiting
for a configuration.
"""

__version__ = "0.1.0"
