"""The rules of the house, as data. check.py applies them; ARCHITECTURE.md explains them."""

from __future__ import annotations

import re

# Lowest first: a room may include itself and the rooms before it.
ROOMS = ["base", "sys", "json", "http", "net", "image", "guest", "vmm", "state", "gateway", "core"]

# These stand side by side: none may include another.
PARALLEL_ROOMS = {"net", "image", "guest", "vmm"}

# Likewise the folders in each of these: one an engine.
PARALLEL_FOLDERS = {"libfireclaw/vmm"}

# Rooms inside a room or a program, lowest first: each may include itself and those before it. An entry is a folder, or
# the name of files that stand in the outer folder itself; the other files of the outer folder stand on top.
INNER_ROOMS: dict[str, list[str]] = {
    "libfireclaw/core": ["host", "networks", "machines", "workspaces", "agents", "moving"],
    "libfireclaw/image": ["bytes", "tools", "namespaces", "archives", "store", "kernel", "disks", "roots"],
    "libfireclaw/net": ["address", "interface_name", "boot", "policy", "named_destination", "pool", "links", "firewall"],
    "libfireclaw/gateway": ["limits", "records", "llm", "names", "http_head", "relay", "irc", "proxy"],
    "libfireclaw/guest": ["wire", "tree"],
    "libfireclaw/state": ["layout", "settings", "records"],
    "apps/common": ["text", "files", "processes", "command_line"],
    "apps/overseer": ["event_loop", "signals", "irc", "log", "status", "service", "crew"],
    "apps/fireclaw": ["terminal", "command", "output", "guest_text", "guest_command", "machine_options", "network_options", "copies", "bench", "vm", "network", "up", "upgrade"],
    "agent/guestd": ["loop", "text", "steps", "machine", "processes", "boot", "channels"],
}

# More sources than this in one folder, tests not counted, want folders of their own. The fullest are the command line,
# one file a group of commands, and apps/mcp.
MOST_SOURCES = 25

# Where Python's count as well.
PYTHON_FOLDERS = ["agent", "apps", "bindings", "cmake", "scripts"]

# What the rooms below core may use of the public headers: values, not classes with insides.
PUBLIC_FOR_ROOMS = {"copy.hpp", "error.hpp", "file.hpp", "log.hpp", "exec.hpp", "engine.hpp", "export.hpp", "gateway_counts.hpp", "service.hpp", "version.hpp"}

# What guestd may use of the library: what both ends must agree on, in terms of std alone.
SHARED_WITH_GUESTD = {
    "guest/wire/wire.hpp",
    "guest/wire/coding.hpp",
    "guest/wire/files.hpp",
    "guest/wire/service.hpp",
    "guest/wire/frames.hpp",
    "guest/tree/tree.hpp",
    "guest/tree/paths.hpp",
    "guest/tree/writer.hpp",
}

# What the programs may use of the library beside its public headers: inline, and nothing of ours behind it.
SHARED_WITH_PROGRAMS = {"base/number.hpp", "base/text.hpp", "sys/base64.hpp"}

# What all programs may use; otherwise each one's folder is its own.
SHARED_BY_APPS = "apps/common"

# Header pattern -> where it may be included: folders, relative to the checkout.
LIBRARIES: dict[str, tuple[str, ...]] = {
    r"curl/.*": ("libfireclaw/http",),
    r"boost/.*": ("libfireclaw/gateway",),
    r"ares\.h": ("libfireclaw/gateway",),
    r"simdjson.*": ("libfireclaw/json",),
    r"nettle/.*": ("libfireclaw/sys",),
    r"libssh2.*": ("libfireclaw/guest",),
    r"netlink/.*": ("libfireclaw/net",),
    r"nftables/.*": ("libfireclaw/net",),
    r"fmt/.*": ("libfireclaw", "apps", "tests"),
    r"CLI/.*": ("apps",),
    r"gnutls/.*": ("apps/overseer/irc/tls_stream.cpp", "apps/overseer/crew/audit.cpp"),
    r"nlohmann/.*": ("apps",),
    r"pybind11/.*|Python\.h": ("bindings",),
}

# What is made from the public headers (cmake/describe*.py) and may be included beside them, and by whom.
DESCRIBED = {"fireclaw/fields.hpp": ("apps", "bindings", "libfireclaw/core/host"), "methods.hpp": ("bindings",)}

# Every header of the C++20 standard library.
STANDARD_HEADERS = set(
    """
    algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono cinttypes
    climits clocale cmath codecvt compare complex concepts condition_variable coroutine csetjmp csignal cstdarg
    cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar cwctype deque exception execution filesystem format
    forward_list fstream functional future initializer_list iomanip ios iosfwd iostream istream iterator latch limits
    list locale map memory memory_resource mutex new numbers numeric optional ostream queue random ranges ratio regex
    scoped_allocator semaphore set shared_mutex source_location span sstream stack stdexcept stop_token streambuf
    string string_view strstream syncstream system_error thread tuple type_traits typeindex typeinfo unordered_map
    unordered_set utility valarray variant vector version
    """.split()
)

# The C library's, the kernel's and the compiler's.
SYSTEM_HEADER = re.compile(
    r"(sys|linux|net|netinet|arpa|asm|bits)/[\w/]+\.h"
    r"|(cpuid|dirent|dlfcn|elf|endian|errno|fcntl|fnmatch|getopt|glob|grp|ifaddrs|libgen|limits|link|malloc|netdb|poll|pthread"
    r"|pty|pwd|sched|shadow|signal|spawn|stddef|stdint|stdio|stdlib|string|syscall|syslog|termios|time|ucontext|unistd"
    r"|utime|utmp|wait)\.h"
)

# Tests, and what stands beside them for their use only.
TEST_FILE = re.compile(r"_test\.cpp$|^tests/|/testing[_/]")


class Pattern:
    """Text that must not occur in a part of the tree, seen without comments and string literals."""

    def __init__(self, name: str, regex: str, where: tuple[str, ...], why: str, tests_too: bool = False) -> None:
        self.name = name
        self.regex = re.compile(regex)
        self.where = where
        self.why = why
        self.tests_too = tests_too


PATTERNS = [
    Pattern(
        "getenv",
        r"\b(secure_)?getenv\b|\benviron\b",
        ("include", "libfireclaw", "agent", "bindings"),
        "the environment is read in apps/ and passed down",
    ),
    Pattern(
        "sleep",
        r"\bsleep_(for|until)\b|\b(nano|u|clock_nano)?sleep\s*\(",
        ("include", "libfireclaw", "agent", "apps", "bindings"),
        "wait for the event itself: poll a descriptor with a deadline",
        tests_too=True,
    ),
    Pattern(
        "reap-all",
        r"\bwait(pid)?\s*\(\s*(-1|nullptr|NULL|&)|\bP_ALL\b",
        ("include", "libfireclaw", "apps", "bindings"),
        "reap your own children only: the process may have others",
        tests_too=True,
    ),
    Pattern(
        "signal-handler",
        r"\bsigaction\s*\(|\bsignal\s*\(\s*SIG\w+\s*,",
        ("include", "libfireclaw", "bindings"),
        "a library leaves signal handlers to the program",
    ),
    Pattern(
        "shell",
        r"(?<![\w.>:])(std\s*::\s*|::\s*)?system\s*\(|\bpopen\s*\(",
        ("include", "libfireclaw", "agent", "apps", "bindings"),
        "start programs by argv, not through a shell",
    ),
]

# (file, rule) -> why it is right there. An entry that is no longer needed is a finding.
ALLOWED: dict[tuple[str, str], str] = {
    ("libfireclaw/vmm/qemu/host_cpu.cpp", "sleep"): "measures a clock's frequency, for which time must pass",
}
