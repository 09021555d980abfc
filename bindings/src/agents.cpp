#include "waits.hpp"

namespace fireclaw::python {
namespace {

using ShellHandle = Handle<Running<AgentShell>>;

void bind_watch(py::module_& module) {
  py::class_<AgentWatch>(module, "AgentWatch", "Turns readable (fileno()) once an agent's machine has ended.")
      .def("fileno", &AgentWatch::fd,
           "fileno($self)\n--\n\n"
           "For select, poll and asyncio's add_reader; owned by this object.")
      .def("ended", &AgentWatch::ended,
           "ended($self)\n--\n\n"
           "Whether the machine has ended; does not wait.")
      .def("wait", waits(&AgentWatch::wait), py::arg("timeout"), py::arg("stop") = nullptr,
           "wait($self, timeout, stop=None)\n--\n\n"
           "False if it had not ended after so many seconds or the stop.");
}

void bind_shell(py::module_& module) {
  py::class_<ShellHandle>(module, "AgentShell", "A shell in an agent's machine, by SSH. Ends with its last reference.")
      .def(
          "wait", [](ShellHandle& self) { return wait_for(self); },
          "wait($self)\n--\n\n"
          "Feeds input, delivers output and waits for the end, which Ctrl-C brings about. Call once.")
      .def(
          "resize",
          [](ShellHandle& self, WindowSize size) {
            const auto running = self.get();
            blocking([&] { running->command.resize(size); });
          },
          py::arg("size"),
          "resize($self, size)\n--\n\n"
          "Changes the size of the terminal.");
}

void bind_life(py::class_<AgentManager>& type) {
  type.def("start", waits(&AgentManager::start), py::arg("config"),
           "start($self, config)\n--\n\n"
           "Starts an agent: workspace (made if missing), machine, bot. A failure undoes what was done.\n\n"
           "AlreadyExistsError if it runs; NotFoundError for an unknown template or a missing image; TimeoutError,\n"
           "VmmError, GuestError with what the machine said.")
      .def("fork", waits(&AgentManager::fork), py::arg("name"), py::arg("config"),
           "fork($self, name, config)\n--\n\n"
           "Starts a second agent from agent `name` as it is now: with its memory, processes, files and\n"
           "settings, and its own name, address and workspace. The first one is paused for a moment (phase\n"
           "\"pause\") and stays on IRC.\n\n"
           "NotFoundError; InvalidStateError if the first does not run; AlreadyExistsError if there is an agent or a\n"
           "workspace of the new name.")
      .def(
          "snapshot", waits(&AgentManager::snapshot), py::arg("name"), py::arg("snapshot") = "",
          py::arg("replace") = false, py::arg("stop") = nullptr,
          "snapshot($self, name, snapshot='', replace=False, stop=None)\n--\n\n"
          "Saves a running agent, as fork() copies it, as a snapshot that AgentConfig.snapshot takes. Without a name:\n"
          "the agent's and the time. Raises what fork() does; AlreadyExistsError if there is one, unless `replace`.")
      .def(
          "export_archive",
          [](AgentManager& self, const std::string& name, const py::object& file, bool memory, const StopSource* stop) {
            const int fd = descriptor(file);
            blocking(token_of(stop),
                     [&](const std::stop_token& token) { self.export_archive(name, fd, memory, token); });
          },
          py::arg("name"), py::arg("file"), py::arg("memory") = false, py::arg("stop") = nullptr,
          "export_archive($self, name, file, memory=False, stop=None)\n--\n\n"
          "Writes the agent as an archive to an open file or pipe (through its descriptor: flush it before), also "
          "while\n"
          "it runs. NotFoundError; InvalidStateError for the memory of one that does not run.")
      .def(
          "import_archive",
          [](AgentManager& self, const py::object& file, const std::optional<AgentImportOptions>& given) {
            const int fd = descriptor(file);
            auto options = given.value_or(AgentImportOptions{});
            return blocking(options.stop, [&](std::stop_token stop) {
              options.stop = std::move(stop);
              return self.import_archive(fd, options);
            });
          },
          py::arg("file"), py::arg("options") = py::none(),
          "import_archive($self, file, options=None)\n--\n\n"
          "Makes what such an archive holds. Import memory only from people you trust. CorruptError, "
          "InvalidArgumentError,\n"
          "AlreadyExistsError.")
      .def(
          "stop", waits(&AgentManager::stop), py::arg("name"), py::arg("grace") = std::chrono::milliseconds{5000},
          "stop($self, name, grace=5.0)\n--\n\n"
          "The bot says goodbye, the guest unmounts, the engine ends; by force after `grace` and ten seconds. No error "
          "if it\n"
          "does not run; NotFoundError if there is no such agent.")
      .def("restart", waits(&AgentManager::restart), py::arg("name"), py::arg("stop") = nullptr,
           "restart($self, name, stop=None)\n--\n\n"
           "stop() if it runs, and start() with the settings it has; what those raise.")
      .def("remove", waits(&AgentManager::remove), py::arg("name"),
           "remove($self, name)\n--\n\n"
           "Forgets a stopped agent; its workspace stays. InvalidStateError while it runs.")
      .def("pause", waits(&AgentManager::pause), py::arg("name"),
           "pause($self, name)\n--\n\n"
           "Stops the CPUs of its machine. NotFoundError; InvalidStateError if it does not run.")
      .def("resume", waits(&AgentManager::resume), py::arg("name"),
           "resume($self, name)\n--\n\n"
           "Resumes a paused agent. NotFoundError; InvalidStateError if it does not run.")
      .def("reload", waits(&AgentManager::reload), py::arg("name"), py::arg("settings"),
           "reload($self, name, settings)\n--\n\n"
           "Gives a running agent other settings without it leaving IRC, or a stopped one for its next start.\n\n"
           "NotFoundError; InvalidArgumentError for a setting that cannot be, and then nothing is changed.")
      .def("reconcile", waits(&AgentManager::reconcile),
           "reconcile($self)\n--\n\n"
           "Compares what is recorded with what runs: adopts, cleans, ends orphans.");
}

void bind_questions(py::class_<AgentManager>& type) {
  type.def("templates", waits(&AgentManager::templates),
           "templates($self)\n--\n\n"
           "What agents are made from, by name: files of templates/ and the built-in ones.")
      .def("find_template", waits(&AgentManager::find_template), py::arg("name"),
           "find_template($self, name)\n--\n\n"
           "What agents of that kind are made from. NotFoundError, or InvalidArgumentError naming file and field.")
      .def("list", waits(&AgentManager::list),
           "list($self)\n--\n\n"
           "All agents, also stopped ones, by name. Quick: asks no guest.")
      .def("info", waits(&AgentManager::info), py::arg("name"),
           "info($self, name)\n--\n\n"
           "One of list(). NotFoundError if there is no such agent.")
      .def("status", waits(&AgentManager::status), py::arg("name"),
           py::arg("timeout") = std::chrono::milliseconds{5000},
           "status($self, name, timeout=5.0)\n--\n\n"
           "info(), with what the bot says of itself (online, channels, last_error) within `timeout` seconds. "
           "NotFoundError.")
      .def("watch", waits(&AgentManager::watch), py::arg("name"),
           "watch($self, name)\n--\n\n"
           "What tells of its machine's end. NotFoundError; InvalidStateError if it does not run.")
      .def(
          "logs",
          [](AgentManager& self, const std::string& name, std::size_t lines) {
            return text(blocking([&] { return self.logs(name, lines); }));
          },
          py::arg("name"), py::arg("lines") = 0,
          "logs($self, name, lines=0)\n--\n\n"
          "The last lines of what the bot wrote, also of a stopped agent. 0: all that is kept, two files of 256 KiB.\n"
          "NotFoundError.")
      .def(
          "follow_logs",
          [](AgentManager& self, const std::string& name, std::size_t lines, const py::object& on_output,
             const StopSource* stop) {
            const auto callback = output_callback(on_output);
            blocking(token_of(stop),
                     [&](const std::stop_token& token) { self.follow_logs(name, lines, callback, token); });
          },
          py::arg("name"), py::arg("lines"), py::arg("on_output"), py::arg("stop") = nullptr,
          "follow_logs($self, name, lines, on_output, stop=None)\n--\n\n"
          "Calls on_output, on this thread, with what the bot writes from now on (bytes), after the last `lines`; "
          "returns\n"
          "after the stop or the machine's end. NotFoundError; InvalidStateError if it does not run.")
      .def(
          "memory",
          [](AgentManager& self, const std::string& name) { return text(blocking([&] { return self.memory(name); })); },
          py::arg("name"),
          "memory($self, name)\n--\n\n"
          "MEMORY.md of its workspace, whether it runs or not. NotFoundError.");
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
          "exec($self, name, command, **options)\n--\n\n"
          "Runs a command in its machine, with the options of VM.exec; as `agent` in /workspace unless they say "
          "otherwise.\n\n"
          "NotFoundError; InvalidStateError if it does not run; GuestError.")
      .def(
          "spawn",
          [](AgentManager& self, const std::string& name, const py::object& command, const py::kwargs& keywords) {
            return start_command(exec_options(command, keywords),
                                 [&](ExecOptions options) { return self.spawn(name, std::move(options)); });
          },
          py::arg("name"), py::arg("command"),
          "spawn($self, name, command, **options)\n--\n\n"
          "Starts a command in its machine; see exec(). InvalidStateError if it does not run.")
      .def(
          "ssh",
          [](AgentManager& self, const std::string& name, const py::object& command, const py::kwargs& keywords) {
            const auto given = command.is_none() ? py::object{py::list{}} : command;
            return start_command(exec_options(given, keywords),
                                 [&](ExecOptions options) { return self.ssh(name, std::move(options)); });
          },
          py::arg("name"), py::arg("command") = py::none(),
          "ssh($self, name, command=None, **options)\n--\n\n"
          "Logs in by SSH as user `agent`; runs the command, or the login shell. UnsupportedError if the machine has\n"
          "no address.")
      .def("machine", waits(&AgentManager::machine), py::arg("name"),
           "machine($self, name)\n--\n\n"
           "A handle on its machine; letting go of it does not end it. NotFoundError; InvalidStateError if it does not "
           "run.");
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
