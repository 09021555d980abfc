"""The values that fireclaw takes and gives: enums and dataclasses, named as in C++.

Durations are seconds: an int, a float or a timedelta where they are given, a float where they come back. Times are
datetimes in UTC. Wherever an enum is wanted, its text will do as well ("qemu-tcg", "nat").

All but common, helpers and methods is written from the C++ headers when the package is built.
"""

from __future__ import annotations

from .agent import *
from .backup import *
from .common import *
from .copy import *
from .engine import *
from .error import *
from .exec import *
from .file import *
from .gateway import *
from .gateway_counts import *
from .helpers import *
from .helpers import default_host_options as default_host_options
from .helpers import exec_options as exec_options
from .host import *
from .image import *
from .llm import *
from .log import *
from .machine import *
from .network import *
from .pool import *
from .service import *
from .snapshot import *
from .vm import *
from .workspace import *
