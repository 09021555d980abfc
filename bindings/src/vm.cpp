#include "waits.hpp"

namespace fireclaw::python {
namespace {

CopyOptions copy_options(const StopSource* stop, const std::optional<std::chrono::milliseconds>& timeout) {
  CopyOptions options;
  if (stop != nullptr) options.stop = stop->token();
  options.timeout = timeout;
  return options;
}

/// Ends the machine, unless it is detached, and lets go of it.
void close(VMHandle& self) {
  const auto vm = self.take();
  if (!vm) return;
  blocking([&] {
    if (!vm->info().detached) vm->kill();
  });
}

/// VMConfig's fields as keywords, in the home folder that run() uses unless `host` is given.
VMHandle run_with(const py::object& host, std::chrono::milliseconds start_timeout, const StopSource* stop,
                  const py::kwargs& fields) {
  const auto root = host.is_none() ? py::module_::import("fireclaw").attr("_host")() : host;
  const auto config = type_named("VMConfig")(**fields).cast<VMConfig>();
  const auto machines = root.cast<const Host&>().vms();
  return VMHandle{blocking(token_of(stop), [&](std::stop_token token) {
    return machines.run(config, {start_timeout, std::move(token)});
  })};
}

VM run_in(const Host& host, const VMConfig& config, const StartOptions& options) {
  return host.vms().run(config, options);
}

void bind_factories(py::class_<VMHandle>& type) {
  type.def(py::init(&run_with), py::kw_only(), py::arg("host") = py::none(),
           py::arg("start_timeout") = std::chrono::milliseconds{60'000}, py::arg("stop") = nullptr,
           "VM(*, host=None, start_timeout=60.0, stop=None, **fields)\n--\n\n"
           "A machine that runs: VMs.run() with VMConfig's fields as keywords. Without `host`: the home folder\n"
           "$FIRECLAW_HOME, else ~/.fireclaw.");
  type.def_static("run", waits(&run_in), py::arg("host"), py::arg("config") = py::none(),
                  py::arg("options") = py::none(),
                  "run(host, config=None, options=None)\n--\n\n"
                  "The same as host.vms().run(config, options).");
}

void bind_collection(py::module_& module) {
  py::class_<VMs>(module, "VMs", "Host.vms(): a host's machines.")
      // The machine keeps the caller's stop for its start.
      .def(
          "create",
          [](const VMs& self, const std::optional<VMConfig>& config, const std::optional<StartOptions>& options) {
            const auto given = config.value_or(VMConfig{});
            const auto start = options.value_or(StartOptions{});
            return VMHandle{blocking([&] { return self.create(given, start); })};
          },
          py::arg("config") = py::none(), py::arg("options") = py::none(),
          "create($self, config=None, options=None)\n--\n\n"
          "Checks the configuration and prepares the machine's folder; nothing runs yet.\n\n"
          "NotFoundError for an unknown image or snapshot; InvalidStateError before setup.")
      .def("run", waits(&VMs::run), py::arg("config") = py::none(), py::arg("options") = py::none(),
           "run($self, config=None, options=None)\n--\n\n"
           "A machine that runs: create() and start(), with what those raise. CancelledError after a stop.")
      .def("attach", waits(&VMs::attach), py::arg("id"),
           "attach($self, id)\n--\n\n"
           "Takes hold of a detached machine by its id or name. NotFoundError if there is none or it has ended;\n"
           "InvalidStateError if it is stopped, belongs to a process or is still being started.")
      .def("list", waits(&VMs::list),
           "list($self)\n--\n\n"
           "All machines of the home folder whose engine runs, oldest first, also those of agents.")
      .def("kill", waits(&VMs::kill), py::arg("id"),
           "kill($self, id)\n--\n\n"
           "Ends the machine with this id or name, also one that another process owns. NotFoundError; "
           "InvalidStateError\n"
           "if it is stopped.")
      .def("pool", waits(&VMs::pool), py::arg("config") = py::none(),
           py::arg("start_timeout") = std::chrono::milliseconds{60'000},
           "pool($self, config=None, start_timeout=60.0)\n--\n\n"
           "A pool whose machines are being started; returns at once. InvalidArgumentError for a size that cannot be, "
           "and what\n"
           "create() raises.");
}

void bind_life(py::class_<VMHandle>& type) {
  type.def("start", waits(&VM::start),
           "start($self)\n--\n\n"
           "Restores or boots; returns once the machine's CPUs run, and the first command waits for the guest.\n\n"
           "VmmError; TimeoutError after StartOptions.timeout; NotFoundError if a snapshot is required and none "
           "fits;\n"
           "CancelledError after StartOptions.stop.")
      .def("wait_ready", waits(&VM::wait_ready), py::arg("timeout"),
           "wait_ready($self, timeout)\n--\n\n"
           "Waits, so many seconds at most, for the guest. TimeoutError with the console's last lines.")
      .def("pause", waits(&VM::pause),
           "pause($self)\n--\n\n"
           "Stops the machine's CPUs. InvalidStateError if it does not run.")
      .def("resume", waits(&VM::resume),
           "resume($self)\n--\n\n"
           "Resumes a paused machine. InvalidStateError if it does not run.")
      .def("stop", waits(&VM::stop), py::arg("grace") = std::chrono::milliseconds{2000},
           "stop($self, grace=2.0)\n--\n\n"
           "Orderly end: SIGTERM, after `grace` seconds SIGKILL, file systems are synced, the engine ends.")
      .def("kill", waits(&VM::kill),
           "kill($self)\n--\n\n"
           "Ends the engine at once. No error if it has ended.")
      .def("snapshot", waits(&VM::snapshot), py::arg("name"),
           "snapshot($self, name)\n--\n\n"
           "Saves the machine as snapshot `name`; it continues. Commands that run are ended first; services "
           "continue.\n\n"
           "AlreadyExistsError; InvalidStateError if the machine has a workspace or a scratch disk.")
      .def(
          "console_log",
          [](VMHandle& self, std::size_t max_bytes) {
            const auto vm = self.get();
            return text(blocking([&] { return vm->console_log(max_bytes); }));
          },
          py::arg("max_bytes") = 65536,
          "console_log($self, max_bytes=65536)\n--\n\n"
          "The last part of what the guest wrote to its console, at most `max_bytes`; what is not UTF-8 is replaced.")
      .def("info", waits(&VM::info),
           "info($self)\n--\n\n"
           "What the machine is and how it is. Quick: asks no guest.")
      .def("close", &close,
           "close($self)\n--\n\n"
           "Ends the machine, unless it is detached, and lets go of it. `with` does this.")
      .def("__enter__", [](const py::object& self) { return self; })
      .def("__exit__", [](VMHandle& self, const py::args&) { close(self); })
      .def("__repr__", [](const VMHandle& self) {
        if (self.closed()) return std::string{"<VM, closed>"};
        const auto info = self.get()->info();
        return "<VM " + info.id + ", " + std::string{to_string(info.state)} + ">";
      });
}

void bind_commands(py::class_<VMHandle>& type) {
  type.def(
          "exec",
          [](VMHandle& self, const py::object& command, const py::kwargs& keywords) {
            const auto vm = self.get();
            auto options = exec_options(command, keywords);
            return blocking(options.stop, [&](std::stop_token stop) {
              options.stop = std::move(stop);
              return vm->exec(std::move(options));
            });
          },
          py::arg("command"),
          "exec($self, command, **options)\n--\n\n"
          "Runs a command to its end: a shell line (str), a program with arguments (list), or ExecOptions.\n\n"
          "Options, which are fields of ExecOptions:\n\n"
          "  env                   variables added to the guest's own\n"
          "  cwd                   its working directory; \"\": the image's, else the user's home\n"
          "  user                  name or \"uid[:gid]\"; \"\": the image's, else root\n"
          "  input, input_fd       what it reads: bytes or str, or an open file; without: /dev/null\n"
          "  tty, window_size      its own terminal, in character cells; all output is then stdout\n"
          "  timeout               seconds, then SIGKILL and result.timed_out; None: no limit\n"
          "  stop                  a StopSource: SIGTERM, two seconds later SIGKILL, and result.cancelled\n"
          "  on_stdout, on_stderr  called with bytes as they appear, on this thread; without: collected\n"
          "  max_output_bytes      collected per stream; the rest is dropped and result.truncated is set\n\n"
          "An exit status, a timeout and a stop are values of the result, not exceptions. What a callback raises ends "
          "the\n"
          "command and is raised here. GuestError if the guest is gone, InvalidStateError if the machine does not "
          "run,\n"
          "NotFoundError for an unknown user.")
      .def(
          "spawn",
          [](VMHandle& self, const py::object& command, const py::kwargs& keywords) {
            const auto vm = self.get();
            return start_command(exec_options(command, keywords),
                                 [&](ExecOptions options) { return vm->spawn(std::move(options)); });
          },
          py::arg("command"),
          "spawn($self, command, **options)\n--\n\n"
          "Starts a command: a Process, which is waited for. Arguments and errors are those of exec(); callbacks are "
          "called\n"
          "by Process.wait().")
      .def(
          "stream",
          [](const py::object& self, const py::object& command, const py::kwargs& keywords) {
            return py::module_::import("fireclaw._stream")
                .attr("Stream")(self.attr("spawn"), type_named("exec_options")(command, **keywords));
          },
          py::arg("command"),
          "stream($self, command, **options)\n--\n\n"
          "Starts a command whose output is iterated over: (\"stdout\" or \"stderr\", bytes), as it appears. Options "
          "are those\n"
          "of exec() but for the callbacks. Leaving the Stream's `with` block ends the command.")
      .def(
          "aexec",
          [](const py::object& self, const py::object& command, const py::kwargs& keywords) {
            return py::module_::import("fireclaw").attr("to_thread")(self.attr("exec"), command, **keywords);
          },
          py::arg("command"),
          "aexec($self, command, **options)\n--\n\n"
          "exec() to be awaited. Cancelling the task ends the command. Callbacks are called on another thread.")
      .def(
          "copy_in",
          [](VMHandle& self, const std::filesystem::path& source, const std::filesystem::path& target,
             const StopSource* stop, const std::string& owner, const std::optional<std::chrono::milliseconds>& timeout,
             const std::optional<std::uint32_t>& mode) {
            const auto vm = self.get();
            auto options = copy_options(stop, timeout);
            options.owner = owner;
            options.mode = mode;
            return blocking(options.stop, [&](std::stop_token token) {
              options.stop = std::move(token);
              return vm->copy_in(source, target.string(), options);
            });
          },
          py::arg("source"), py::arg("target"), py::arg("stop") = nullptr, py::arg("owner") = "",
          py::arg("timeout") = py::none(), py::arg("mode") = py::none(),
          "copy_in($self, source, target, stop=None, owner='', timeout=None, mode=None)\n--\n\n"
          "Copies a host file or folder into the guest, as cp -a does; says how many files and bytes that were.\n\n"
          "  owner    whom the files belong to: name or \"uid[:gid]\"; \"\": the image's user, else root\n"
          "  timeout  seconds; None: no limit\n"
          "  mode     permission bits of the files; None: theirs\n\n"
          "NotFoundError if there is no such file, or no such folder to put it in; CancelledError; TimeoutError.")
      .def(
          "copy_out",
          [](VMHandle& self, const std::filesystem::path& source, const std::filesystem::path& target,
             const StopSource* stop, const std::string& links, std::uint64_t max_bytes, std::uint64_t max_files,
             const std::optional<std::chrono::milliseconds>& timeout) {
            const auto vm = self.get();
            auto options = copy_options(stop, timeout);
            options.links = enum_from<CopyLinks>(links);
            options.max_bytes = max_bytes;
            options.max_files = max_files;
            return blocking(options.stop, [&](std::stop_token token) {
              options.stop = std::move(token);
              return vm->copy_out(source.string(), target, options);
            });
          },
          py::arg("source"), py::arg("target"), py::arg("stop") = nullptr, py::arg("links") = "inside",
          py::arg("max_bytes") = 0, py::arg("max_files") = 0, py::arg("timeout") = py::none(),
          "copy_out($self, source, target, stop=None, links='inside', max_bytes=0, max_files=0, timeout=None)\n--\n\n"
          "Copies a guest file or folder to the host, as cp -a does. Nothing is written outside\n"
          "`target`, no link there is followed, and a file that is replaced is whole until the new one is.\n\n"
          "  links      \"inside\": links that lead out of the tree are left out and counted; \"keep\": they are "
          "copied\n"
          "  max_bytes  what it may write; 0: three quarters of what is free\n"
          "  max_files  how many files and folders it may make; 0: likewise\n"
          "  timeout    seconds; None: no limit\n\n"
          "NotFoundError, IoError, CancelledError, TimeoutError.");
}

/// Calls `act` with the machine and the options; Ctrl-C ends what it does.
template <class Act>
auto with_file_options(VMHandle& self, const std::optional<FileOptions>& given, Act&& act) {
  const auto vm = self.get();
  auto options = given.value_or(FileOptions{});
  return blocking(options.stop, [&](std::stop_token stop) {
    options.stop = std::move(stop);
    return act(*vm, std::as_const(options));
  });
}

void bind_files(py::class_<VMHandle>& type) {
  type.def_property_readonly(
          "files", [](const py::object& self) { return py::module_::import("fireclaw._files").attr("Files")(self); },
          "Single files in the guest: read, write, list, stat, remove, make_directory.")
      .def(
          "read_file",
          [](VMHandle& self, const std::filesystem::path& path, const std::optional<FileOptions>& options) {
            return py::bytes(with_file_options(
                self, options, [&](VM& vm, const auto& with) { return vm.read_file(path.string(), with); }));
          },
          py::arg("path"), py::arg("options") = py::none(),
          "read_file($self, path, options=None)\n--\n\n"
          "A file's content. NotFoundError, PermissionDeniedError; InvalidArgumentError if it is not a file, or too "
          "large.")
      .def(
          "write_file",
          [](VMHandle& self, const std::filesystem::path& path, const std::string& content,
             const std::optional<FileOptions>& options) {
            return with_file_options(
                self, options, [&](VM& vm, const auto& with) { return vm.write_file(path.string(), content, with); });
          },
          py::arg("path"), py::arg("content"), py::arg("options") = py::none(),
          "write_file($self, path, content, options=None)\n--\n\n"
          "Writes a file, bytes or str. A write that fails leaves what was there.")
      .def(
          "list_directory",
          [](VMHandle& self, const std::filesystem::path& path, const std::optional<FileOptions>& options) {
            return with_file_options(self, options,
                                     [&](VM& vm, const auto& with) { return vm.list_directory(path.string(), with); });
          },
          py::arg("path"), py::arg("options") = py::none(),
          "list_directory($self, path, options=None)\n--\n\n"
          "What is in a folder, by name.")
      .def(
          "stat",
          [](VMHandle& self, const std::filesystem::path& path, const std::optional<FileOptions>& options) {
            return with_file_options(self, options,
                                     [&](VM& vm, const auto& with) { return vm.stat(path.string(), with); });
          },
          py::arg("path"), py::arg("options") = py::none(),
          "stat($self, path, options=None)\n--\n\n"
          "What is at a path. NotFoundError.")
      .def(
          "remove",
          [](VMHandle& self, const std::filesystem::path& path, const std::optional<FileOptions>& options) {
            with_file_options(self, options, [&](VM& vm, const auto& with) { vm.remove(path.string(), with); });
          },
          py::arg("path"), py::arg("options") = py::none(),
          "remove($self, path, options=None)\n--\n\n"
          "Removes a file, a link or an empty folder; with `recursive` also a full one.")
      .def(
          "make_directory",
          [](VMHandle& self, const std::filesystem::path& path, const std::optional<FileOptions>& options) {
            with_file_options(self, options, [&](VM& vm, const auto& with) { vm.make_directory(path.string(), with); });
          },
          py::arg("path"), py::arg("options") = py::none(),
          "make_directory($self, path, options=None)\n--\n\n"
          "Makes a folder. AlreadyExistsError, unless `parents`.");
}

void bind_services(py::class_<VMHandle>& type) {
  type.def(
          "start_service",
          [](VMHandle& self, const ServiceOptions& options) {
            const auto vm = self.get();
            blocking([&] { vm->start_service(options); });
          },
          py::arg("options"),
          "start_service($self, options)\n--\n\n"
          "Starts a service, which then belongs to the guest. AlreadyExistsError if one of its name runs;\n"
          "NotFoundError if the guest has no such program.")
      .def(
          "signal_service",
          [](VMHandle& self, const std::string& name, int number) {
            const auto vm = self.get();
            blocking([&] { vm->signal_service(name, number); });
          },
          py::arg("name"), py::arg("number"),
          "signal_service($self, name, number)\n--\n\n"
          "Sends a signal to the service's own process. NotFoundError; InvalidStateError if it is not running.")
      .def(
          "stop_service",
          [](VMHandle& self, const std::string& name, std::chrono::milliseconds grace) {
            const auto vm = self.get();
            blocking([&] { vm->stop_service(name, grace); });
          },
          py::arg("name"), py::arg("grace") = std::chrono::milliseconds{10'000},
          "stop_service($self, name, grace=10.0)\n--\n\n"
          "SIGTERM to the service's process group, SIGKILL after `grace` seconds. Returns once it has ended.")
      .def(
          "services",
          [](VMHandle& self) {
            const auto vm = self.get();
            return blocking([&] { return vm->services(); });
          },
          "services($self)\n--\n\n"
          "All services that were started, by name, also those that have ended. InvalidStateError if the machine does "
          "not run.")
      .def(
          "guest_phases",
          [](VMHandle& self) {
            const auto vm = self.get();
            return blocking([&] { return vm->guest_phases(); });
          },
          "guest_phases($self)\n--\n\n"
          "What the guest has done since this process first spoke to it, by the guest's clock: who it is, the first "
          "command's start, first output and end. Empty if its image is of an earlier build.");
}

}  // namespace

void bind_vm(py::module_& module) {
  bind_collection(module);
  py::class_<VMHandle> type{
      module, "VM",
      "A microVM. Ends with `with`, close(), or its last reference, unless it is detached; one that\n"
      "is not also ends when this process does. Threads may run commands side by side."};
  bind_factories(type);
  bind_life(type);
  bind_commands(type);
  bind_files(type);
  bind_services(type);
}

}  // namespace fireclaw::python
