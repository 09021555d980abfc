"""Starts the bot: `python3 -m bot`, or `python3 /path/to/bot` where the parent folder is not on the module path."""

import os
import sys

if not __package__:
    # Run as a folder: its files must not shadow top-level modules, so its parent takes its place on the path.
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.path.dirname(folder)
    __package__ = os.path.basename(folder)
    __import__(__package__)

from .main import main

if __name__ == "__main__":
    sys.exit(main())
