#include "bindings.hpp"
#include "structs.hpp"

namespace fireclaw::python {
namespace {

std::stop_token token_of(const StopSource* stop) { return stop != nullptr ? stop->token() : std::stop_token{}; }

/// Ends the machine, unless it is detached, and lets go of it.
void close(VMHandle& self) {
  const auto vm = self.take();
  if (!vm) return;
  blocking([&] {
    if (!vm->info().detached) vm->kill();
  });
}

void bind_factories(py::class_<VMHandle>& type) {
  type.def_static(
          "create",
          [](const Host& host, const std::optional<VMConfig>& config) {
            const auto given = config.value_or(VMConfig{});
            return VMHandle{blocking([&] { return VM::create(host, given); })};
          },
          py::arg("host"), py::arg("config") = py::none(),
          "Checks the configuration and prepares the machine's folder; nothing runs yet.\n\n"
          "NotFoundError for an unknown image or snapshot; InvalidStateError before setup.")
      .def_static(
          "run",
          [](const Host& host, const std::optional<VMConfig>& config) {
            auto given = config.value_or(VMConfig{});
            return VMHandle{blocking(given.stop, [&](std::stop_token stop) {
              given.stop = std::move(stop);
              return VM::run(host, given);
            })};
          },
          py::arg("host"), py::arg("config") = py::none(), "create() and start().")
      .def_static(
          "attach",
          [](const Host& host, const std::string& id) {
            return VMHandle{blocking([&] { return VM::attach(host, id); })};
          },
          py::arg("host"), py::arg("id"),
          "Takes hold of a detached machine. NotFoundError if there is none or it has ended.")
      .def_static(
          "list", [](const Host& host) { return blocking([&] { return VM::list(host); }); }, py::arg("host"),
          "All machines of the home folder whose engine runs, oldest first.")
      .def_static(
          "kill_by_id", [](const Host& host, const std::string& id) { blocking([&] { VM::kill(host, id); }); },
          py::arg("host"), py::arg("id"), "Ends the machine with this id, whoever owns it. NotFoundError.");
}

void bind_life(py::class_<VMHandle>& type) {
  type.def(
          "start",
          [](VMHandle& self) {
            const auto vm = self.get();
            blocking([&] { vm->start(); });
          },
          "Restores or boots; returns once the machine's CPUs run. VmmError, TimeoutError, NotFoundError.")
      .def(
          "wait_ready",
          [](VMHandle& self, std::chrono::milliseconds timeout) {
            const auto vm = self.get();
            blocking([&] { vm->wait_ready(timeout); });
          },
          py::arg("timeout"),
          "Waits, so many seconds at most, for the guest. TimeoutError with the console's last lines.")
      .def(
          "pause",
          [](VMHandle& self) {
            const auto vm = self.get();
            blocking([&] { vm->pause(); });
          },
          "Stops the machine's CPUs. InvalidStateError if it does not run.")
      .def(
          "resume",
          [](VMHandle& self) {
            const auto vm = self.get();
            blocking([&] { vm->resume(); });
          },
          "Lets a paused machine go on.")
      .def(
          "stop",
          [](VMHandle& self, std::chrono::milliseconds grace) {
            const auto vm = self.get();
            blocking([&] { vm->stop(grace); });
          },
          py::arg("grace") = std::chrono::milliseconds{2000},
          "Orderly end: SIGTERM, after `grace` seconds SIGKILL, file systems are synced, the engine ends.")
      .def(
          "kill",
          [](VMHandle& self) {
            const auto vm = self.get();
            blocking([&] { vm->kill(); });
          },
          "Ends the engine at once. No error if it has ended.")
      .def(
          "snapshot",
          [](VMHandle& self, const std::string& name) {
            const auto vm = self.get();
            return blocking([&] { return vm->snapshot(name); });
          },
          py::arg("name"),
          "Saves the machine as snapshot `name` and lets it go on. Commands that run are ended first; services go "
          "on.\n\n"
          "AlreadyExistsError; InvalidStateError if the machine has a workspace or a scratch disk.")
      .def(
          "console_log",
          [](VMHandle& self, std::size_t max_bytes) {
            const auto vm = self.get();
            return text(blocking([&] { return vm->console_log(max_bytes); }));
          },
          py::arg("max_bytes") = 65536, "The last part of what the guest wrote to its console.")
      .def(
          "info",
          [](VMHandle& self) {
            const auto vm = self.get();
            return blocking([&] { return vm->info(); });
          },
          "What the machine is and how it is.")
      .def("close", &close, "Ends the machine, unless it is detached, and lets go of it. `with` does this.")
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
          "Runs a command to its end: a shell line (str), a program with arguments (list), or ExecOptions.\n\n"
          "Keywords are fields of ExecOptions. An exit status, a timeout and a stop are values of the result, not\n"
          "exceptions; what a callback raises ends the command and is raised here. GuestError if the guest is gone.")
      .def(
          "spawn",
          [](VMHandle& self, const py::object& command, const py::kwargs& keywords) {
            const auto vm = self.get();
            return start_command(exec_options(command, keywords),
                                 [&](ExecOptions options) { return vm->spawn(std::move(options)); });
          },
          py::arg("command"), "Starts a command; the arguments are those of exec().")
      .def(
          "stream",
          [](const py::object& self, const py::object& command, const py::kwargs& keywords) {
            return py::module_::import("fireclaw._stream")
                .attr("Stream")(self.attr("spawn"), type_named("exec_options")(command, **keywords));
          },
          py::arg("command"),
          "Starts a command whose output is iterated over: (\"stdout\" or \"stderr\", bytes), as it appears.")
      .def(
          "copy_in",
          [](VMHandle& self, const std::filesystem::path& source, const std::filesystem::path& target,
             const StopSource* stop) {
            const auto vm = self.get();
            return blocking(token_of(stop),
                            [&](const std::stop_token& token) { return vm->copy_in(source, target.string(), token); });
          },
          py::arg("source"), py::arg("target"), py::arg("stop") = nullptr,
          "Copies a host file or folder into the guest, as cp -a does. NotFoundError, CancelledError.")
      .def(
          "copy_out",
          [](VMHandle& self, const std::filesystem::path& source, const std::filesystem::path& target,
             const StopSource* stop) {
            const auto vm = self.get();
            return blocking(token_of(stop),
                            [&](const std::stop_token& token) { return vm->copy_out(source.string(), target, token); });
          },
          py::arg("source"), py::arg("target"), py::arg("stop") = nullptr,
          "Copies a guest file or folder to the host. Whatever the guest says, nothing is written outside `target`.");
}

void bind_services(py::class_<VMHandle>& type) {
  type.def(
          "start_service",
          [](VMHandle& self, const ServiceOptions& options) {
            const auto vm = self.get();
            blocking([&] { vm->start_service(options); });
          },
          py::arg("options"),
          "Starts a service, which then belongs to the guest. AlreadyExistsError if one of its name runs;\n"
          "NotFoundError if the guest has no such program.")
      .def(
          "signal_service",
          [](VMHandle& self, const std::string& name, int number) {
            const auto vm = self.get();
            blocking([&] { vm->signal_service(name, number); });
          },
          py::arg("name"), py::arg("number"),
          "Sends a signal to the service's own process. NotFoundError; InvalidStateError if it is not running.")
      .def(
          "stop_service",
          [](VMHandle& self, const std::string& name, std::chrono::milliseconds grace) {
            const auto vm = self.get();
            blocking([&] { vm->stop_service(name, grace); });
          },
          py::arg("name"), py::arg("grace") = std::chrono::milliseconds{10'000},
          "SIGTERM to the service's process group, SIGKILL after `grace` seconds. Returns once it has ended.")
      .def(
          "services",
          [](VMHandle& self) {
            const auto vm = self.get();
            return blocking([&] { return vm->services(); });
          },
          "All services that were started, by name, also those that have ended.");
}

}  // namespace

void bind_vm(py::module_& module) {
  py::class_<VMHandle> type{
      module, "VM",
      "A microVM. Ends with `with`, close(), or its last reference, unless it is detached; one that\n"
      "is not also ends when this process does. Threads may run commands side by side."};
  bind_factories(type);
  bind_life(type);
  bind_commands(type);
  bind_services(type);
}

}  // namespace fireclaw::python
