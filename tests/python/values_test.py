"""Values, errors and names of the Python package; no machine is started."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import os
import tempfile
import unittest
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Union

import fireclaw
from fireclaw import _fireclaw
from fireclaw._types import exec as exec_types


def stub() -> ast.Module:
    return ast.parse(Path(_fireclaw.__file__).with_name("_fireclaw.pyi").read_text())


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def stub_members(kind: ast.ClassDef) -> set[str]:
    return {node.name for node in kind.body if isinstance(node, FUNCTIONS)} - {"__init__"}


def stub_functions() -> list[tuple[str, Union[ast.FunctionDef, ast.AsyncFunctionDef]]]:
    """Each class's name with each of its members."""
    classes = [kind for kind in stub().body if isinstance(kind, ast.ClassDef)]
    return [(kind.name, node) for kind in classes for node in kind.body if isinstance(node, FUNCTIONS)]


class Names(unittest.TestCase):
    def test_the_stub_lists_the_modules_classes_and_functions(self) -> None:
        listed = {node.name for node in stub().body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        there = {name for name in vars(_fireclaw) if not name.startswith("__")}
        self.assertEqual(listed, there)

    def test_the_stub_lists_the_members_of_each_class(self) -> None:
        for kind in stub().body:
            if isinstance(kind, ast.ClassDef):
                there = {name for name in vars(getattr(_fireclaw, kind.name))
                         if not name.startswith("_") or name in ("__enter__", "__exit__")}
                self.assertEqual(stub_members(kind), there, kind.name)

    def test_members_have_docstrings(self) -> None:
        silent = [
            f"{kind.name}.{name}"
            for kind in stub().body
            if isinstance(kind, ast.ClassDef)
            for name in stub_members(kind)
            if not name.startswith("_") and not getattr(_fireclaw, kind.name).__dict__[name].__doc__
        ]
        self.assertEqual(silent, [])

    def test_help_shows_the_parameters_that_the_stub_has(self) -> None:
        for kind, node in stub_functions():
            function = getattr(getattr(_fireclaw, kind), node.name)
            if node.name.startswith("_") or isinstance(function, property):
                continue
            with self.subTest(f"{kind}.{node.name}"):
                shown = inspect.signature(function).parameters.values()
                defaults: list[Any] = [ast.literal_eval(default) for default in node.args.defaults]
                names = [argument.arg for argument in node.args.args if argument.arg != "self"]
                required = [inspect.Parameter.empty] * (len(names) - len(defaults))
                self.assertEqual([(one.name, one.default) for one in shown if one.kind is not one.VAR_KEYWORD],
                                 list(zip(names, required + defaults)))
                self.assertEqual(any(one.kind is one.VAR_KEYWORD for one in shown), node.args.kwarg is not None)

    def test_help_says_in_pythons_words_what_the_header_says_unless_the_stub_says_it(self) -> None:
        def said(method: Any) -> str:
            return " ".join(method.__doc__.split())

        self.assertTrue(said(_fireclaw.VMs.kill).startswith("Ends the machine with this id or name, also if another "
                                                            "process owns it. NotFoundError if there is none, "))
        self.assertEqual(said(fireclaw.VM.close),
                         "Ends the machine, unless it is detached, and closes this handle. `with` does this.")
        for kind, node in stub_functions():
            if not node.name.startswith("_"):
                self.assertNotRegex(getattr(_fireclaw, kind).__dict__[node.name].__doc__ or "", r"::|Error\(|\.hpp|\b[Tt]hr(ow|ew)",
                                    f"{kind}.{node.name}")

    def test_options_of_commands_are_the_fields_that_the_stub_and_the_docstring_name(self) -> None:
        fields = [field.name for field in dataclasses.fields(fireclaw.ExecOptions) if field.name != "argv"]
        described = fireclaw.VM.exec.__doc__ or ""
        self.assertEqual([name for name in fields if name not in described], [])
        commands = [node for _, node in stub_functions() if node.args.kwarg is not None and node.name != "__init__"]
        self.assertEqual(len(commands), 7)
        for node in commands:
            assert node.args.kwarg is not None and node.args.kwarg.annotation is not None
            keywords = "StreamKeywords" if node.name == "stream" else "ExecKeywords"
            self.assertEqual(ast.unparse(node.args.kwarg.annotation), f"Unpack[{keywords}]", node.name)
            callbacks = ("on_stdout", "on_stderr") if node.name == "stream" else ()
            self.assertEqual(sorted(getattr(exec_types, keywords).__annotations__),
                             sorted(name for name in fields if name not in callbacks), node.name)

    def test_everything_in_all_is_there(self) -> None:
        self.assertEqual([name for name in fireclaw.__all__ if not hasattr(fireclaw, name)], [])
        self.assertEqual(len(set(fireclaw.__all__)), len(fireclaw.__all__))

    def test_all_values_of_the_package_are_public(self) -> None:
        parts = [part for part in vars(fireclaw._types).values() if isinstance(part, ModuleType)]
        self.assertGreater(len(parts), 5)
        values = {name for part in parts for name in getattr(part, "__all__", [])}
        self.assertEqual(values - set(fireclaw.__all__), set())
        self.assertIn("VMConfig", values)

    def test_the_version_is_the_librarys(self) -> None:
        self.assertRegex(fireclaw.version(), r"^\d+\.\d+\.\d+$")
        self.assertEqual(fireclaw.__version__, fireclaw.version())


class Values(unittest.TestCase):
    def test_defaults_are_those_of_cpp(self) -> None:
        defaults = _fireclaw._defaults()
        self.assertGreater(len(defaults), 20)
        for name, made in defaults.items():
            self.assertEqual(made, getattr(fireclaw, name)(), name)

    def test_enums_have_the_values_of_cpp(self) -> None:
        enums = _fireclaw._enumerators()
        self.assertEqual(len(enums), 13)
        for name, values in enums.items():
            self.assertEqual([str(value) for value in getattr(fireclaw, name)], values, name)

    def open(self, **fields: Any) -> fireclaw.Host:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-python-")
        self.addCleanup(folder.cleanup)
        return fireclaw.Host.open(fireclaw.HostOptions(home=Path(folder.name) / "home", **fields))

    def test_paths_may_be_strings_and_path_objects(self) -> None:
        host = self.open(search_path=["/usr/bin", Path("/bin")])
        self.assertIsInstance(host.home, Path)
        self.assertTrue(host.home.is_dir())
        self.assertIn(str(host.home), repr(host))

    def test_an_enums_text_will_do_and_another_is_refused(self) -> None:
        self.open(engine="qemu-tcg")
        with self.assertRaisesRegex(ValueError, "'xen' is not a value of Engine; there are: auto, firecracker"):
            self.open(engine="xen")

    def test_a_field_of_the_wrong_type_is_named(self) -> None:
        with self.assertRaisesRegex(TypeError, r"HostOptions\.tool_environment cannot be 7"):
            self.open(tool_environment=7)
        with self.assertRaisesRegex(TypeError, r"HostOptions\.log cannot be 'aloud'"):
            self.open(log="aloud")

    def test_options_of_the_wrong_type_are_named(self) -> None:
        with self.assertRaisesRegex(TypeError, "takes HostOptions"):
            fireclaw.Host.open("/home")  # type: ignore[arg-type]

    def test_durations_are_seconds_or_timedeltas(self) -> None:
        host = self.open()
        given: list[fireclaw.Seconds] = [1, 0.5, timedelta(seconds=1)]
        for timeout in given:
            with self.assertRaises(fireclaw.InvalidStateError):
                host.vms().create(options=fireclaw.StartOptions(timeout))
        for seconds in (float("nan"), float("inf"), 1e30):
            with self.assertRaisesRegex(ValueError, "finite number of seconds"):
                host.vms().create(options=fireclaw.StartOptions(seconds))

    def test_a_stop_source_follows_its_parent(self) -> None:
        parent = fireclaw.StopSource()
        child, other = fireclaw.StopSource(parent), fireclaw.StopSource()
        child_of_child = fireclaw.StopSource(child)
        parent.request_stop()
        self.assertTrue(child.stop_requested() and child_of_child.stop_requested())
        self.assertFalse(other.stop_requested())


class Errors(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-python-")
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name) / "home"
        self.host = fireclaw.Host.open(fireclaw.HostOptions(home=self.home))

    def test_each_code_has_a_class_which_is_the_built_in_one_too(self) -> None:
        built_in = {
            "invalid_argument": ValueError, "not_found": LookupError, "already_exists": FileExistsError,
            "permission_denied": PermissionError, "unsupported": NotImplementedError,
            "timeout": builtins.TimeoutError, "io": OSError,
        }
        classes = {kind.code.value: kind for kind in fireclaw.FireclawError.__subclasses__()}
        self.assertEqual(set(classes), {code.value for code in fireclaw.ErrorCode})
        for code, kind in built_in.items():
            self.assertTrue(issubclass(classes[code], kind), code)

    def test_something_missing_is_a_not_found_error_with_code_and_message(self) -> None:
        with self.assertRaises(LookupError) as caught:
            self.host.snapshots().open("no-such")
        error = caught.exception
        self.assertIsInstance(error, fireclaw.NotFoundError)
        assert isinstance(error, fireclaw.FireclawError)
        self.assertEqual(error.code, fireclaw.ErrorCode.NOT_FOUND)
        self.assertIn("'no-such'", str(error))
        self.assertIn("'no-such'", error.message)

    def test_contexts_come_with_the_error_innermost_first(self) -> None:
        made = fireclaw._errors._make("io", "outer: inner: broken", "broken", ("inner", "outer"), None)
        self.assertIsInstance(made, OSError)
        self.assertEqual((str(made), made.message, made.context), ("outer: inner: broken", "broken", ("inner", "outer")))

    def test_a_torn_configuration_is_corrupt(self) -> None:
        (self.home / "config.json").write_text("{")
        with self.assertRaises(fireclaw.CorruptError) as caught:
            fireclaw.Host.open(fireclaw.HostOptions(home=self.home)).engines()
        self.assertIn("config.json", str(caught.exception))

    def test_a_workspace_that_exists_is_a_file_exists_error(self) -> None:
        config = fireclaw.WorkspaceConfig("twice", size_mib=16)
        self.host.workspaces().create(config)
        with self.assertRaises(FileExistsError) as caught:
            self.host.workspaces().create(config)
        self.assertIn("twice", str(caught.exception))

    def test_before_setup_there_are_no_machines(self) -> None:
        with self.assertRaises(fireclaw.InvalidStateError):
            fireclaw.run("true", host=self.host)
        self.assertEqual(self.host.vms().list(), [])
        self.assertEqual(self.host.images().list(), [])
        self.assertFalse(self.host.is_set_up)

    def test_an_unknown_keyword_is_a_type_error(self) -> None:
        with self.assertRaises(TypeError):
            fireclaw.run("true", host=self.host, colour="red")  # type: ignore[call-arg]


class Folders(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-python-")
        self.addCleanup(folder.cleanup)
        self.scratch = Path(folder.name)
        self.host = fireclaw.Host.open(fireclaw.HostOptions(home=self.scratch / "home"))

    def test_a_workspace_is_made_listed_and_removed(self) -> None:
        notes = self.host.workspaces().create(fireclaw.WorkspaceConfig("notes", size_mib=16))
        self.assertEqual([info.name for info in self.host.workspaces().list()], ["notes"])
        self.assertEqual(notes.info().size_bytes, 16 << 20)
        self.assertFalse(notes.check().repaired)
        # Machines look into it.
        with self.assertRaises(fireclaw.InvalidStateError):
            notes.read_file("MEMORY.md")
        self.host.workspaces().remove("notes")
        self.assertEqual(self.host.workspaces().list(), [])

    def test_the_network_is_described_without_being_made(self) -> None:
        info = self.host.network().info()
        self.assertFalse(info.leases)
        self.assertIn("/", info.subnet)
        self.assertGreater(info.capacity, 0)

    def test_agents_templates_are_listed_and_found(self) -> None:
        manager = self.host.agents()
        templates = manager.templates()
        self.assertIn("worker", [template.name for template in templates])
        self.assertEqual(manager.find_template("worker").name, "worker")
        with self.assertRaises(fireclaw.NotFoundError):
            manager.find_template("nobody")
        self.assertEqual(manager.list(), [])
        with self.assertRaises(LookupError):
            manager.open("nobody")
        self.assertEqual(manager.reconcile(), fireclaw.ReconcileReport([], [], [], [], []))

    def test_doctor_says_what_mends_a_fresh_folder(self) -> None:
        checks = self.host.doctor()
        self.assertTrue(checks)
        self.assertTrue(any(check.status is not fireclaw.CheckStatus.OK and check.remedy for check in checks))


if __name__ == "__main__":
    unittest.main()
