"""The values that fireclaw takes and gives: enums and dataclasses, named as in C++.

Durations are seconds: an int, a float or a timedelta where they are given, a float where they come back. Times are
datetimes in UTC. Wherever an enum is wanted, its text will do as well ("qemu-tcg", "nat").
"""

from __future__ import annotations

from .agent import *
from .common import *
from .exec import *
from .exec import exec_options as exec_options
from .host import *
from .host import default_host_options as default_host_options
from .image import *
from .network import *
from .service import *
from .vm import *
from .workspace import *
