"""Which sources share a batch (cmake/batches.py)."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "cmake"))
import batches  # noqa: E402


class Batches(unittest.TestCase):
    def numbers(self, *texts, most=12):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, text in enumerate(texts):
                paths.append(Path(folder) / f"{number}.cpp")
                paths[-1].write_text(text)
            return batches.sort(paths, most)

    def test_sources_that_keep_different_names_share_a_batch(self):
        one = "namespace a {\nnamespace {\nint help(int x) { return x; }\n}\nint f() { return help(1); }\n}\n"
        other = "namespace a {\nnamespace {\nconstexpr int most = 3;\n}\nint g() { return most; }\n}\n"
        self.assertEqual(self.numbers(one, other), [0, 0])

    def test_a_name_that_both_keep_to_themselves_parts_them(self):
        for kept in (
            "int help(std::map<int, std::string> x) { return 1; }",
            "constexpr std::array<int, 2> help{1, 2};",
            "struct help {\n  int x;\n};",
            "enum class help { A };",
            "using help = int;",
            "[[noreturn]] void help(const char* text);",
            "template <typename T>\nvoid help(T x) {}",
            "/// What helps.\nenum class help : int { A };",
            "struct stat help(int fd) { return {}; }",
        ):
            with self.subTest(kept):
                source = f"namespace {{\n{kept}\n}}\n"
                self.assertEqual(self.numbers(source, source), [0, 1])

    def test_a_name_that_one_keeps_and_the_other_means_otherwise_parts_them(self):
        self.assertEqual(self.numbers("namespace {\nint help() { return 1; }\n}\n", "int f() { return help(); }\n"), [0, 1])
        self.assertEqual(self.numbers("int f() { return help(); }\n", "#define help() 1\n"), [0, 1])
        self.assertEqual(self.numbers("int f() { return help(); }\n", "static int help() { return 2; }\n"), [0, 1])

    def test_a_name_that_one_keeps_and_a_header_of_the_other_declares_parts_them(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {
                "far.hpp": "namespace a {\nint help(int x);\n}\n",
                "near.hpp": '#include "far.hpp"\n',
                "one.cpp": '#include "near.hpp"\n',
                "other.cpp": "namespace a {\nnamespace {\nint help() { return 1; }\n}\n}\n",
            }.items():
                (Path(folder) / name).write_text(text)
            self.assertEqual(batches.sort([Path(folder) / "one.cpp", Path(folder) / "other.cpp"], 12), [0, 1])

    def test_a_header_is_found_from_the_folders_of_its_program(self):
        program = Path(batches.PROJECT) / "apps/fireclaw"
        self.assertIn(program / "output.hpp", batches.included_by(program / "bench/all.cpp"))

    def test_those_that_clash_with_most_others_choose_first(self):
        kept = "namespace {\nint %s() { return 1; }\n}\n"
        # One after the other, the last two would each need a batch of their own.
        sources = [kept % "a", kept % "b", kept % "a" + kept % "c", kept % "b" + kept % "c"]
        self.assertEqual(max(self.numbers(*sources)), 1)

    def test_what_returns_a_struct_does_not_keep_the_struct(self):
        source = "namespace {\nstruct stat %s(int fd) { return {}; }\n}\n"
        self.assertEqual(self.numbers(source % "one", source % "other"), [0, 0])

    def test_members_texts_and_comments_part_nobody(self):
        kept = "namespace {\nint help() { return 1; }\n}\n"
        self.assertEqual(self.numbers(kept, 'auto x = a.help + b->help + c::help(); // help\nauto y = "help";\n'), [0, 0])

    def test_the_same_alias_twice_is_no_clash(self):
        self.assertEqual(self.numbers("namespace fs = std::filesystem;\n", "namespace fs = std::filesystem;\n"), [0, 0])
        self.assertEqual(self.numbers("namespace fs = std::filesystem;\n", "namespace fs = other;\n"), [0, 1])

    def test_an_alias_that_the_other_means_otherwise_parts_them(self):
        self.assertEqual(self.numbers("namespace http = boost;\n", "http::Client x;\n"), [0, 1])

    def test_an_alias_that_a_header_of_the_other_means_otherwise_parts_them(self):
        alias = "namespace a {\nnamespace {\nnamespace http = boost;\n}\n}\n"
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {
                "both.hpp": "#pragma once\nnamespace a {\nstruct B {\n  http::X x;\n};\n}\n",
                "one.cpp": alias,
                "other.cpp": '#include "both.hpp"\n' + alias,
                "same.cpp": '#include "both.hpp"\n' + alias,
            }.items():
                (Path(folder) / name).write_text(text)
            paths = [Path(folder) / name for name in ("one.cpp", "other.cpp", "same.cpp")]
            self.assertEqual(batches.sort(paths, 12), [0, 1, 1])

    def test_what_is_opened_by_one_is_opened_by_all_of_a_batch(self):
        opened = "using namespace a;\nusing namespace std::chrono_literals;\n"
        self.assertEqual(self.numbers(opened, "int x;\n", "using namespace a;\n"), [0, 1, 0])

    def test_a_source_does_not_keep_to_itself_what_an_unnamed_namespace_opens_or_takes(self):
        opened = "namespace a {\nnamespace {\nusing namespace std::chrono_literals;\nint %s() { return 1; }\n}\n}\n"
        self.assertEqual(self.numbers(opened % "one", opened % "other"), [0, 0])
        taken = "namespace a {\nnamespace {\n\nusing wire::Type;\n\nint %s(Type x) { return 1; }\n}\n}\n"
        self.assertEqual(self.numbers(taken % "one", taken % "other"), [0, 0])
        self.assertEqual(self.numbers(taken % "one", "namespace a {\nvoid f() { wire::send(); }\n}\n"), [0, 0])
        self.assertEqual(self.numbers(taken % "one", (taken % "other").replace("wire", "net")), [0, 1])
        self.assertEqual(self.numbers(taken % "one", "namespace a {\nvoid f(Type x) {}\n}\n"), [0, 1])

    def test_headers_of_the_kernel_and_of_the_library_for_the_same_part_them(self):
        kernel, library = "#include <linux/if.h>\n", "#include <net/if.h>\n"
        self.assertEqual(self.numbers(kernel, library, library + kernel), [0, 1, 1])

    def test_a_batch_has_an_end(self):
        self.assertEqual(self.numbers(*["int x();\n"] * 5, most=2), [0, 0, 1, 1, 2])


if __name__ == "__main__":
    unittest.main()
