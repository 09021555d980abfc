#include "bindings.hpp"
#include "structs.hpp"

namespace fireclaw::python {
namespace {

using ShellHandle = Handle<Running<AgentShell>>;

std::stop_token token_of(const StopSource* stop) { return stop != nullptr ? stop->token() : std::stop_token{}; }

void bind_watch(py::module_& module) {
  py::class_<AgentWatch>(module, "AgentWatch", "Turns readable (fileno()) once an agent's machine has ended.")
      .def("fileno", &AgentWatch::fd, "For select, poll and asyncio's add_reader; owned by this object.")
      .def("ended", &AgentWatch::ended)
      .def(
          "wait",
          [](const AgentWatch& self, std::chrono::milliseconds timeout, const StopSource* stop) {
            return blocking(token_of(stop), [&](const std::stop_token& token) { return self.wait(timeout, token); });
          },
          py::arg("timeout"), py::arg("stop") = nullptr,
          "False if it had not ended after so many seconds or the stop.");
}

void bind_shell(py::module_& module) {
  py::class_<ShellHandle>(module, "AgentShell", "A shell in an agent's machine, by SSH. Ends with its last reference.")
      .def(
          "wait", [](ShellHandle& self) { return wait_for(self); },
          "Feeds input, delivers output and waits for the end. Call once.")
      .def(
          "resize",
          [](ShellHandle& self, WindowSize size) {
            const auto running = self.get();
            blocking([&] { running->command.resize(size); });
          },
          py::arg("size"), "Changes the size of the terminal.");
}

void bind_life(py::class_<AgentManager>& type) {
  type.def(
          "start",
          [](AgentManager& self, AgentConfig config) {
            return blocking(config.stop, [&](std::stop_token stop) {
              config.stop = std::move(stop);
              return self.start(config);
            });
          },
          py::arg("config"),
          "Starts an agent: workspace (made if missing), machine, bot. A failure undoes what was done.\n\n"
          "AlreadyExistsError if it runs; NotFoundError for an unknown template or a missing image; TimeoutError,\n"
          "VmmError, GuestError with what the machine said.")
      .def(
          "stop",
          [](AgentManager& self, const std::string& name, std::chrono::milliseconds grace) {
            blocking([&] { self.stop(name, grace); });
          },
          py::arg("name"), py::arg("grace") = std::chrono::milliseconds{5000},
          "The bot says goodbye, the guest unmounts, the engine ends; by force after `grace` and ten seconds.")
      .def(
          "restart",
          [](AgentManager& self, const std::string& name, const StopSource* stop) {
            return blocking(token_of(stop), [&](const std::stop_token& token) { return self.restart(name, token); });
          },
          py::arg("name"), py::arg("stop") = nullptr, "stop() if it runs, and start() with the settings it has.")
      .def(
          "remove", [](AgentManager& self, const std::string& name) { blocking([&] { self.remove(name); }); },
          py::arg("name"), "Forgets a stopped agent; its workspace stays. InvalidStateError while it runs.")
      .def(
          "pause", [](AgentManager& self, const std::string& name) { blocking([&] { self.pause(name); }); },
          py::arg("name"), "Stops the CPUs of its machine.")
      .def(
          "resume", [](AgentManager& self, const std::string& name) { blocking([&] { self.resume(name); }); },
          py::arg("name"), "Lets a paused agent go on.")
      .def(
          "reload",
          [](AgentManager& self, const std::string& name, const AgentSettings& settings) {
            return blocking([&] { return self.reload(name, settings); });
          },
          py::arg("name"), py::arg("settings"),
          "Gives a running agent other settings without it leaving IRC, or a stopped one for its next start.")
      .def(
          "reconcile", [](AgentManager& self) { return blocking([&] { return self.reconcile(); }); },
          "Compares what is recorded with what runs: adopts, cleans, ends orphans.");
}

void bind_questions(py::class_<AgentManager>& type) {
  type.def(
          "templates", [](const AgentManager& self) { return blocking([&] { return self.templates(); }); },
          "What agents are made from, by name: files of templates/ and the built-in ones.")
      .def(
          "find_template",
          [](const AgentManager& self, const std::string& name) {
            return blocking([&] { return self.find_template(name); });
          },
          py::arg("name"), "NotFoundError, or InvalidArgumentError naming file and field.")
      .def(
          "list", [](const AgentManager& self) { return blocking([&] { return self.list(); }); },
          "All agents, also stopped ones, by name. Quick: asks no guest.")
      .def(
          "info",
          [](const AgentManager& self, const std::string& name) { return blocking([&] { return self.info(name); }); },
          py::arg("name"), "NotFoundError if there is no such agent.")
      .def(
          "status",
          [](AgentManager& self, const std::string& name, std::chrono::milliseconds timeout) {
            return blocking([&] { return self.status(name, timeout); });
          },
          py::arg("name"), py::arg("timeout") = std::chrono::milliseconds{5000},
          "info(), with what the bot says of itself within so many seconds.")
      .def(
          "watch",
          [](const AgentManager& self, const std::string& name) { return blocking([&] { return self.watch(name); }); },
          py::arg("name"), "InvalidStateError if it does not run.")
      .def(
          "logs",
          [](AgentManager& self, const std::string& name, std::size_t lines) {
            return text(blocking([&] { return self.logs(name, lines); }));
          },
          py::arg("name"), py::arg("lines") = 0, "The last lines of what the bot wrote; 0: all that is kept.")
      .def(
          "follow_logs",
          [](AgentManager& self, const std::string& name, std::size_t lines, const py::object& on_output,
             const StopSource* stop) {
            const auto callback = output_callback(on_output);
            blocking(token_of(stop),
                     [&](const std::stop_token& token) { self.follow_logs(name, lines, callback, token); });
          },
          py::arg("name"), py::arg("lines"), py::arg("on_output"), py::arg("stop") = nullptr,
          "Delivers what the bot writes from now on, after the last `lines`, until the stop or the machine's end.")
      .def(
          "memory",
          [](AgentManager& self, const std::string& name) { return text(blocking([&] { return self.memory(name); })); },
          py::arg("name"), "MEMORY.md of its workspace.");
}

void bind_commands(py::class_<AgentManager>& type) {
  type.def(
          "exec",
          [](AgentManager& self, const std::string& name, const py::object& command, const py::kwargs& keywords) {
            auto options = exec_options(command, keywords);
            return blocking(options.stop, [&](std::stop_token stop) {
              options.stop = std::move(stop);
              return self.exec(name, std::move(options));
            });
          },
          py::arg("name"), py::arg("command"),
          "Runs a command in its machine, as VM.exec does; as `agent` in /workspace unless the options say otherwise.")
      .def(
          "spawn",
          [](AgentManager& self, const std::string& name, const py::object& command, const py::kwargs& keywords) {
            return start_command(exec_options(command, keywords),
                                 [&](ExecOptions options) { return self.spawn(name, std::move(options)); });
          },
          py::arg("name"), py::arg("command"), "Starts a command; see exec().")
      .def(
          "ssh",
          [](AgentManager& self, const std::string& name, const py::object& command, const py::kwargs& keywords) {
            const auto given = command.is_none() ? py::object{py::list{}} : command;
            return start_command(exec_options(given, keywords),
                                 [&](ExecOptions options) { return self.ssh(name, std::move(options)); });
          },
          py::arg("name"), py::arg("command") = py::none(),
          "Logs in by SSH as user `agent`; runs the command, or the login shell. UnsupportedError if the machine has\n"
          "no address of its own.")
      .def(
          "machine",
          [](const AgentManager& self, const std::string& name) {
            return VMHandle{blocking([&] { return self.machine(name); })};
          },
          py::arg("name"), "A handle on its machine; letting go of it does not end it. InvalidStateError.");
}

}  // namespace

void bind_agents(py::module_& module) {
  bind_watch(module);
  bind_shell(module);
  py::class_<AgentManager> type{module, "AgentManager",
                                "The agents of a home folder. Safe from any thread and from any number of processes:\n"
                                "operations on one agent take turns, those on different agents run side by side."};
  type.def(py::init<const Host&>(), py::arg("host"));
  bind_life(type);
  bind_questions(type);
  bind_commands(type);
}

}  // namespace fireclaw::python
