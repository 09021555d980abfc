#!/usr/bin/python3
"""Feeds the checker small bad trees and expects exactly the findings that each deserves."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path

import check
import rules

HEADER = "#pragma once\n"


class CheckerTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def expect(self, files: dict[str, str], *expected: tuple[str, int, str],
               allowed: dict[tuple[str, str], str] | None = None) -> None:
        self.write(files)
        found = check.Checker(self.root, allowed or {}).run()
        self.assertEqual([(f.path, f.line, f.rule) for f in found], sorted(expected), "\n".join(map(str, found)))

    def test_a_tree_that_keeps_the_rules_has_no_findings(self) -> None:
        self.expect({
            "include/fireclaw/error.hpp": HEADER + "#include <string>\n",
            "include/fireclaw/host.hpp": HEADER + '#include "fireclaw/error.hpp"\n',
            "libfireclaw/base/clock.hpp": HEADER + '#include "fireclaw/error.hpp"\n',
            "libfireclaw/sys/fd.hpp": HEADER + '#include "base/clock.hpp"\n',
            "libfireclaw/sys/fd.cpp": '#include "sys/fd.hpp"\n\n#include <fcntl.h>\n#include <nettle/sha2.h>\n',
            "libfireclaw/sys/fd_test.cpp": '#include "sys/fd.hpp"\n#include <doctest/doctest.h>\n',
            "libfireclaw/core/host/host.cpp": '#include "fireclaw/host.hpp"\n#include "sys/fd.hpp"\n#include <fmt/format.h>\n',
            "libfireclaw/guest/wire/wire.hpp": HEADER + "#include <cstdint>\n",
            "agent/guestd/main.cpp": '#include "guest/wire/wire.hpp"\n#include <sys/mount.h>\n',
            "apps/fireclaw/main.cpp": '#include <CLI/CLI.hpp>\n#include "fireclaw/host.hpp"\nint x = getenv("HOME");\n',
        })

    def test_a_room_may_not_include_a_higher_one(self) -> None:
        self.expect({
            "libfireclaw/sys/fd.hpp": HEADER,
            "libfireclaw/base/clock.cpp": '#include <vector>\n#include "sys/fd.hpp"\n',
        }, ("libfireclaw/base/clock.cpp", 2, "room"))

    def test_net_image_guest_and_vmm_know_nothing_of_each_other(self) -> None:
        self.expect({
            "libfireclaw/net/links/tap.hpp": HEADER,
            "libfireclaw/image/store/store.hpp": HEADER + '#include "net/links/tap.hpp"\n',
            "libfireclaw/guest/session.hpp": HEADER + '#include "image/store/store.hpp"\n',
            "libfireclaw/vmm/driver.hpp": HEADER + '#include "guest/session.hpp"\n',
            "libfireclaw/core/vm.hpp": HEADER + '#include "vmm/driver.hpp"\n',
        }, ("libfireclaw/image/store/store.hpp", 2, "room"), ("libfireclaw/guest/session.hpp", 2, "room"),
           ("libfireclaw/vmm/driver.hpp", 2, "room"))

    def test_the_engines_know_nothing_of_each_other(self) -> None:
        self.expect({
            "libfireclaw/vmm/driver.hpp": HEADER,
            "libfireclaw/vmm/qemu/qmp.hpp": HEADER + '#include "vmm/driver.hpp"\n',
            "libfireclaw/vmm/qemu/driver.hpp": HEADER + '#include "vmm/qemu/qmp.hpp"\n',
            "libfireclaw/vmm/firecracker/driver.hpp": HEADER + '#include "vmm/qemu/qmp.hpp"\n',
        }, ("libfireclaw/vmm/firecracker/driver.hpp", 2, "room"))

    def test_a_room_inside_a_room_may_not_include_a_higher_one(self) -> None:
        self.expect({
            "libfireclaw/core/host/engines.hpp": HEADER,
            "libfireclaw/core/agents/copy.hpp": HEADER + '#include "core/machines/impl.hpp"\n',
            "libfireclaw/core/machines/impl.hpp": HEADER + '#include "core/host/engines.hpp"\n',
            "libfireclaw/core/machines/purpose.hpp": HEADER + '#include "core/workspaces/files.hpp"\n',
            "libfireclaw/core/workspaces/files.hpp": HEADER + "#include <string>\n",
            "libfireclaw/core/networks/nat.cpp": '#include "core/host/engines.hpp"\n#include "core/agents/copy.hpp"\n',
        }, ("libfireclaw/core/machines/purpose.hpp", 2, "inner-room"), ("libfireclaw/core/networks/nat.cpp", 2, "inner-room"))

    def test_files_of_the_outer_folder_stand_on_top_unless_they_are_listed_lower(self) -> None:
        self.expect({
            "libfireclaw/core/garbage.hpp": HEADER + '#include "core/agents/copy.hpp"\n',
            "libfireclaw/core/agents/copy.hpp": HEADER,
            "libfireclaw/core/agents/start.cpp": '#include "core/garbage.hpp"\n',
            "libfireclaw/image/tools.hpp": HEADER + '#include "image/archives/tar.hpp"\n',
            "libfireclaw/image/archives/tar.hpp": HEADER + '#include "image/tools.hpp"\n',
            "libfireclaw/image/build.cpp": '#include "image/archives/tar.hpp"\n#include "image/tools.hpp"\n',
        }, ("libfireclaw/core/agents/start.cpp", 1, "inner-room"), ("libfireclaw/image/tools.hpp", 2, "inner-room"))

    def test_programs_have_rooms_inside_too(self) -> None:
        self.expect({
            "apps/overseer/event_loop.hpp": HEADER,
            "apps/overseer/irc/link.hpp": HEADER + '#include "event_loop.hpp"\n#include "crew/desk.hpp"\n',
            "apps/overseer/crew/desk.hpp": HEADER,
            "apps/overseer/crew/desk_test.cpp": '#include "overseer.hpp"\n',
            "apps/overseer/overseer.hpp": HEADER + '#include "crew/desk.hpp"\n',
            "agent/guestd/processes/spawn.cpp": '#include "text.hpp"\n#include "channels/exec.hpp"\n',
            "agent/guestd/channels/exec.hpp": HEADER,
            "agent/guestd/text.hpp": HEADER,
        }, ("apps/overseer/irc/link.hpp", 3, "inner-room"), ("agent/guestd/processes/spawn.cpp", 2, "inner-room"))

    def test_a_folder_that_is_not_among_the_rooms_inside_is_a_finding(self) -> None:
        self.expect({"libfireclaw/core/misc/strings.hpp": HEADER}, ("libfireclaw/core/misc/strings.hpp", 1, "inner-room"))

    def test_a_folder_of_too_many_sources_is_a_finding(self) -> None:
        names = [f"file{number:02}" for number in range(rules.MOST_SOURCES + 1)]
        full = {f"libfireclaw/sys/{name}.cpp": "int a;\n" for name in names}
        also = {f"libfireclaw/net/{name}_test.cpp": "int a;\n" for name in names}
        fits = {f"apps/mcp/{name}.cpp": "int a;\n" for name in names[1:]}
        python = {f"agent/robot/{name}.py": "a = 1\n" for name in names}
        self.expect({**full, **also, **fits, **python},
                    ("agent/robot", 1, "folder-size"), ("libfireclaw/sys", 1, "folder-size"))

    def test_rooms_below_core_use_only_the_public_value_types(self) -> None:
        self.expect({
            "include/fireclaw/exec.hpp": HEADER,
            "include/fireclaw/host.hpp": HEADER,
            "libfireclaw/guest/session.hpp": HEADER + '#include "fireclaw/exec.hpp"\n#include "fireclaw/host.hpp"\n',
            "libfireclaw/core/host/impl.hpp": HEADER + '#include "fireclaw/host.hpp"\n',
        }, ("libfireclaw/guest/session.hpp", 3, "room"))

    def test_an_unknown_folder_is_not_a_room(self) -> None:
        self.expect({"libfireclaw/util/string.hpp": HEADER}, ("libfireclaw/util/string.hpp", 1, "room"))

    def test_each_library_is_included_in_its_own_room_only(self) -> None:
        self.expect({
            "libfireclaw/http/client.cpp": "#include <curl/curl.h>\n#include <simdjson.h>\n",
            "libfireclaw/json/json.cpp": "#include <simdjson.h>\n#include <nettle/sha2.h>\n",
            "libfireclaw/guest/ssh.cpp": "#include <libssh2.h>\n#include <libssh2_sftp.h>\n#include <curl/curl.h>\n",
            "libfireclaw/net/link.cpp": "#include <netlink/route/link.h>\n#include <nftables/libnftables.h>\n",
            "libfireclaw/vmm/spec.cpp": "#include <CLI/CLI.hpp>\n#include <netlink/netlink.h>\n",
        }, ("libfireclaw/http/client.cpp", 2, "library"), ("libfireclaw/json/json.cpp", 2, "library"),
           ("libfireclaw/guest/ssh.cpp", 3, "library"), ("libfireclaw/vmm/spec.cpp", 1, "library"),
           ("libfireclaw/vmm/spec.cpp", 2, "library"))

    def test_a_library_nobody_listed_is_a_finding(self) -> None:
        self.expect({"libfireclaw/sys/fd.cpp": "#include <boost/asio.hpp>\n"},
                    ("libfireclaw/sys/fd.cpp", 1, "library"))

    def test_public_headers_include_only_std_and_each_other(self) -> None:
        self.expect({
            "libfireclaw/sys/fd.hpp": HEADER,
            "include/fireclaw/vm.hpp": HEADER + '#include <sys/types.h>\n#include <fmt/format.h>\n#include "sys/fd.hpp"\n',
        }, ("include/fireclaw/vm.hpp", 2, "public-header"), ("include/fireclaw/vm.hpp", 3, "public-header"),
           ("include/fireclaw/vm.hpp", 4, "public-header"))

    def test_apps_and_bindings_use_only_the_public_headers_and_their_own_folder(self) -> None:
        self.expect({
            "include/fireclaw/host.hpp": HEADER,
            "libfireclaw/sys/fd.hpp": HEADER,
            "apps/fireclaw/table.hpp": HEADER,
            "apps/fireclaw/main.cpp": '#include "table.hpp"\n#include "fireclaw/host.hpp"\n#include "sys/fd.hpp"\n',
            "apps/common/options.hpp": HEADER,
            "apps/overseer/main.cpp": '#include "apps/fireclaw/table.hpp"\n#include "fireclaw/table.hpp"\n#include "common/options.hpp"\n',
            "bindings/module.cpp": '#include <pybind11/pybind11.h>\n#include "sys/fd.hpp"\n',
        }, ("apps/fireclaw/main.cpp", 3, "folder"), ("apps/overseer/main.cpp", 1, "include-path"),
           ("apps/overseer/main.cpp", 2, "folder"), ("bindings/module.cpp", 2, "folder"))

    def test_apps_share_only_what_is_listed_with_the_library(self) -> None:
        self.expect({
            "libfireclaw/base/text.hpp": HEADER + "#include <string>\n",
            "libfireclaw/sys/base64.hpp": HEADER + '#include "sys/fd.hpp"\n',
            "libfireclaw/sys/fd.hpp": HEADER,
            "apps/common/text/text.cpp": '#include "base/text.hpp"\n#include "sys/base64.hpp"\n',
            "bindings/module.cpp": '#include "base/text.hpp"\n',
        }, ("apps/common/text/text.cpp", 2, "folder"), ("bindings/module.cpp", 1, "folder"))

    def test_what_is_made_from_the_public_headers_is_for_apps_and_bindings(self) -> None:
        self.expect({
            "apps/fireclaw/main.cpp": '#include "fireclaw/fields.hpp"\n',
            "bindings/src/convert.cpp": "#include <fireclaw/fields.hpp>\n",
            "libfireclaw/state/records/runs.cpp": '#include "fireclaw/fields.hpp"\n',
        }, ("libfireclaw/state/records/runs.cpp", 1, "include-path"))

    def test_guestd_shares_the_wire_format_with_the_library_and_nothing_behind_it(self) -> None:
        self.expect({
            "include/fireclaw/error.hpp": HEADER,
            "libfireclaw/base/scope.hpp": HEADER,
            "libfireclaw/guest/wire/wire.hpp": HEADER + '#include "base/scope.hpp"\n',
            "agent/guestd/exec.hpp": HEADER,
            "agent/guestd/main.cpp": '#include "exec.hpp"\n#include "guest/wire/wire.hpp"\n#include "fireclaw/error.hpp"\n'
                                     '#include "base/scope.hpp"\n',
        }, ("agent/guestd/main.cpp", 2, "guestd"), ("agent/guestd/main.cpp", 3, "guestd"),
           ("agent/guestd/main.cpp", 4, "guestd"))

    def test_library_sources_that_are_linked_into_guestd_reach_no_further_either(self) -> None:
        self.expect({
            "include/fireclaw/error.hpp": HEADER,
            "libfireclaw/guest/wire/wire.hpp": HEADER,
            "libfireclaw/guest/wire/wire.cpp": '#include "guest/wire/wire.hpp"\n\n#include "fireclaw/error.hpp"\n',
        }, ("libfireclaw/guest/wire/wire.cpp", 3, "guestd"))

    def test_includes_are_named_from_the_roots(self) -> None:
        self.expect({
            "libfireclaw/base/clock.hpp": HEADER,
            "libfireclaw/sys/fd.cpp": '#include "../base/clock.hpp"\n#include "base/clok.hpp"\n',
        }, ("libfireclaw/sys/fd.cpp", 1, "include-path"), ("libfireclaw/sys/fd.cpp", 2, "include-path"))

    def test_the_own_header_comes_first(self) -> None:
        self.expect({
            "libfireclaw/sys/fd.hpp": HEADER,
            "libfireclaw/sys/fd.cpp": '#include <vector>\n\n#include "sys/fd.hpp"\n',
        }, ("libfireclaw/sys/fd.cpp", 3, "own-header-first"))

    def test_only_tests_include_the_test_framework_and_test_support(self) -> None:
        self.expect({
            "tests/support/fake.hpp": HEADER,
            "libfireclaw/sys/fd.cpp": '#include <doctest/doctest.h>\n#include "support/fake.hpp"\n',
            "libfireclaw/sys/fd_test.cpp": '#include <doctest/doctest.h>\n#include "support/fake.hpp"\n',
        }, ("libfireclaw/sys/fd.cpp", 1, "tests"), ("libfireclaw/sys/fd.cpp", 2, "tests"))

    def test_headers_start_with_pragma_once_and_open_no_namespaces(self) -> None:
        self.expect({
            "libfireclaw/sys/a.hpp": "// What it is.\n#pragma once\n",
            "libfireclaw/sys/b.hpp": "#ifndef B\n#define B\n#endif\n",
            "libfireclaw/sys/c.hpp": HEADER + "// using namespace std\nusing  namespace std;\n",
        }, ("libfireclaw/sys/b.hpp", 1, "pragma-once"), ("libfireclaw/sys/c.hpp", 3, "using-namespace"))

    def test_the_environment_is_read_in_apps_only(self) -> None:
        text = 'auto* home = std::getenv("HOME");\n'
        self.expect({
            "apps/fireclaw/main.cpp": text,
            "libfireclaw/sys/env_test.cpp": text,
            "libfireclaw/sys/env.cpp": text,
            "agent/guestd/main.cpp": text + "char** all = environ;\n",
        }, ("libfireclaw/sys/env.cpp", 1, "getenv"), ("agent/guestd/main.cpp", 1, "getenv"),
           ("agent/guestd/main.cpp", 2, "getenv"))

    def test_nothing_sleeps_to_wait_not_even_a_test(self) -> None:
        self.expect({
            "libfireclaw/vmm/qemu/qmp.cpp": "std::this_thread::sleep_for(10ms);\n",
            "libfireclaw/sys/fd_test.cpp": "::usleep(10);\n",
            "agent/guestd/main.cpp": "sleep (1);\n",
            "apps/fireclaw/main.cpp": "nanosleep(&t, nullptr);\n",
        }, ("libfireclaw/vmm/qemu/qmp.cpp", 1, "sleep"), ("libfireclaw/sys/fd_test.cpp", 1, "sleep"),
           ("agent/guestd/main.cpp", 1, "sleep"), ("apps/fireclaw/main.cpp", 1, "sleep"))

    def test_words_in_comments_and_strings_are_no_findings(self) -> None:
        self.expect({
            "libfireclaw/sys/a.cpp": '// sleep(1), getenv\n/* system("x")\n getenv */ auto a = "sleep 1; getenv()";\n'
                                     "auto b = R\"x(sleep(1) \" getenv)x\"; auto c = '\"'; auto d = 1'000; // getenv('\n",
        })

    def test_the_library_reaps_only_its_own_children(self) -> None:
        self.expect({
            "libfireclaw/sys/process.cpp": "::waitpid(-1, &status, 0);\n::waitpid(pid, &status, 0);\nwait(&status);\n",
            "agent/guestd/reaper.cpp": "::waitpid(-1, &status, WNOHANG);\n",
        }, ("libfireclaw/sys/process.cpp", 1, "reap-all"), ("libfireclaw/sys/process.cpp", 3, "reap-all"))

    def test_the_library_installs_no_signal_handlers_and_starts_no_shells(self) -> None:
        self.expect({
            "libfireclaw/sys/a.cpp": "::signal(SIGPIPE, SIG_IGN);\nchild.signal(SIGKILL); signal(SIGTERM);\nsigaction(2, &a, nullptr);\n",
            "libfireclaw/sys/b.cpp": 'system("ls");\npopen("ls", "r");\n',
        }, ("libfireclaw/sys/a.cpp", 1, "signal-handler"), ("libfireclaw/sys/a.cpp", 3, "signal-handler"),
           ("libfireclaw/sys/b.cpp", 1, "shell"), ("libfireclaw/sys/b.cpp", 2, "shell"))

    def test_an_exception_covers_one_rule_in_one_file(self) -> None:
        self.expect({"libfireclaw/sys/a.cpp": 'sleep(1);\ngetenv("X");\n'}, ("libfireclaw/sys/a.cpp", 2, "getenv"),
                    allowed={("libfireclaw/sys/a.cpp", "sleep"): "a reason"})

    def test_an_exception_that_is_not_needed_any_more_is_a_finding(self) -> None:
        self.expect({"libfireclaw/sys/a.cpp": "int a;\n"}, ("libfireclaw/sys/a.cpp", 1, "stale-exception"),
                    allowed={("libfireclaw/sys/a.cpp", "sleep"): "a reason"})

    def test_a_public_header_that_needs_another_first_is_found_by_compiling_it_alone(self) -> None:
        self.write({
            "include/fireclaw/good.hpp": HEADER + "#include <string>\nstd::string good();\n",
            "include/fireclaw/bad.hpp": HEADER + "std::string bad();\n",
        })
        found = check.compile_alone(self.root, os.environ.get("CXX", "c++"))
        self.assertEqual([(f.path, f.rule) for f in found], [("include/fireclaw/bad.hpp", "compiles-alone")])


if __name__ == "__main__":
    unittest.main()
