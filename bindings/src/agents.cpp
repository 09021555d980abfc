#include "waits.hpp"

namespace fireclaw::python {
namespace {

using ShellHandle = Handle<Running<AgentShell>>;
using AgentClass = py::class_<Agent, std::shared_ptr<Agent>>;

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

void bind_life(AgentClass& type) {
  type.def("fork", waits(&Agent::fork), py::arg("config"), py::arg("options") = py::none(),
           "fork($self, config, options=None)\n--\n\n"
           "Starts a second agent from this one as it is now: with its memory, processes, files and\n"
           "settings, and its own name, address and workspace. The first one is paused for a moment (phase\n"
           "\"pause\" of the new one's start_info()) and stays on IRC.\n\n"
           "InvalidStateError if this one does not run; AlreadyExistsError if there is an agent or a\n"
           "workspace of the new name.")
      .def(
          "snapshot", waits(&Agent::snapshot), py::arg("snapshot") = "", py::arg("replace") = false,
          py::arg("stop") = nullptr,
          "snapshot($self, snapshot='', replace=False, stop=None)\n--\n\n"
          "Saves a running agent, as fork() copies it, as a snapshot that AgentConfig.snapshot takes. Without a name:\n"
          "the agent's and the time. Raises what fork() does; AlreadyExistsError if there is one, unless `replace`.")
      .def(
          "export_archive",
          [](const Agent& self, const py::object& file, bool memory, const StopSource* stop) {
            const int fd = descriptor(file);
            blocking(token_of(stop), [&](const std::stop_token& token) { self.export_archive(fd, memory, token); });
          },
          py::arg("file"), py::arg("memory") = false, py::arg("stop") = nullptr,
          "export_archive($self, file, memory=False, stop=None)\n--\n\n"
          "Writes the agent as an archive to an open file or pipe (through its descriptor: flush it before), also "
          "while\n"
          "it runs. NotFoundError; InvalidStateError for the memory of one that does not run.")
      .def(
          "stop", waits(&Agent::stop), py::arg("grace") = std::chrono::milliseconds{5000},
          "stop($self, grace=5.0)\n--\n\n"
          "The bot says goodbye, the guest unmounts, the engine ends; by force after `grace` and ten seconds. No error "
          "if it\n"
          "does not run; NotFoundError if there is no such agent.")
      .def("restart", waits(&Agent::restart), py::arg("options") = py::none(),
           "restart($self, options=None)\n--\n\n"
           "Stops it if it runs, and starts it with the settings it has; it is detached then. Returns what "
           "start_info()\n"
           "of a new object would; raises what AgentManager.start() does.")
      .def("remove", waits(&Agent::remove),
           "remove($self)\n--\n\n"
           "Forgets a stopped agent; its workspace stays. InvalidStateError while it runs.")
      .def("pause", waits(&Agent::pause),
           "pause($self)\n--\n\n"
           "Stops the CPUs of its machine. NotFoundError; InvalidStateError if it does not run.")
      .def("resume", waits(&Agent::resume),
           "resume($self)\n--\n\n"
           "Resumes a paused agent. NotFoundError; InvalidStateError if it does not run.")
      .def("reload", waits(&Agent::reload), py::arg("settings"),
           "reload($self, settings)\n--\n\n"
           "Gives a running agent other settings without it leaving IRC, or a stopped one for its next start.\n\n"
           "NotFoundError; InvalidArgumentError for a setting that cannot be, and then nothing is changed.");
}

void bind_questions(AgentClass& type) {
  type.def_property_readonly("name", &Agent::name, "Its name.")
      .def("info", waits(&Agent::info),
           "info($self)\n--\n\n"
           "What is known of it, quick as AgentManager.list(). NotFoundError if it is no longer there.")
      .def("start_info", waits(&Agent::start_info),
           "start_info($self)\n--\n\n"
           "What AgentManager.start() or fork() found when it returned this object: info() with phases, and what the\n"
           "bot then said of itself. Of an agent that open() returned: info().")
      .def("status", waits(&Agent::status), py::arg("timeout") = std::chrono::milliseconds{5000},
           "status($self, timeout=5.0)\n--\n\n"
           "info(), with what the bot says of itself (online, channels, last_error) within `timeout` seconds. "
           "NotFoundError.")
      .def("watch", waits(&Agent::watch),
           "watch($self)\n--\n\n"
           "What tells of its machine's end. NotFoundError; InvalidStateError if it does not run.")
      .def(
          "logs", [](const Agent& self, std::size_t lines) { return text(blocking([&] { return self.logs(lines); })); },
          py::arg("lines") = 0,
          "logs($self, lines=0)\n--\n\n"
          "The last lines of what the bot wrote, also of a stopped agent. 0: all that is kept, two files of 256 KiB.\n"
          "NotFoundError.")
      .def(
          "follow_logs",
          [](const Agent& self, std::size_t lines, const py::object& on_output, const StopSource* stop) {
            const auto callback = output_callback(on_output);
            blocking(token_of(stop), [&](const std::stop_token& token) { self.follow_logs(lines, callback, token); });
          },
          py::arg("lines"), py::arg("on_output"), py::arg("stop") = nullptr,
          "follow_logs($self, lines, on_output, stop=None)\n--\n\n"
          "Calls on_output, on this thread, with what the bot writes from now on (bytes), after the last `lines`; "
          "returns\n"
          "after the stop or the machine's end. NotFoundError; InvalidStateError if it does not run.")
      .def(
          "memory", [](const Agent& self) { return text(blocking([&] { return self.memory(); })); },
          "memory($self)\n--\n\n"
          "MEMORY.md of its workspace, whether it runs or not. NotFoundError.");
}

void bind_commands(AgentClass& type) {
  type.def(
          "exec",
          [](const Agent& self, const py::object& command, const py::kwargs& keywords) {
            auto options = exec_options(command, keywords);
            return blocking(options.stop, [&](std::stop_token stop) {
              options.stop = std::move(stop);
              return self.exec(std::move(options));
            });
          },
          py::arg("command"),
          "exec($self, command, **options)\n--\n\n"
          "Runs a command in its machine, with the options of VM.exec; as `agent` in /workspace unless they say "
          "otherwise.\n\n"
          "NotFoundError; InvalidStateError if it does not run; GuestError.")
      .def(
          "spawn",
          [](const Agent& self, const py::object& command, const py::kwargs& keywords) {
            return start_command(exec_options(command, keywords),
                                 [&](ExecOptions options) { return self.spawn(std::move(options)); });
          },
          py::arg("command"),
          "spawn($self, command, **options)\n--\n\n"
          "Starts a command in its machine; see exec(). InvalidStateError if it does not run.")
      .def(
          "ssh",
          [](const Agent& self, const py::object& command, const py::kwargs& keywords) {
            const auto given = command.is_none() ? py::object{py::list{}} : command;
            return start_command(exec_options(given, keywords),
                                 [&](ExecOptions options) { return self.ssh(std::move(options)); });
          },
          py::arg("command") = py::none(),
          "ssh($self, command=None, **options)\n--\n\n"
          "Logs in by SSH as user `agent`; runs the command, or the login shell. UnsupportedError if the machine has\n"
          "no address.")
      .def("machine", waits(&Agent::machine),
           "machine($self)\n--\n\n"
           "A handle on its machine; letting go of it does not end it. NotFoundError; InvalidStateError if it does not "
           "run.");
}

void bind_manager(py::module_& module) {
  py::class_<AgentManager, std::shared_ptr<AgentManager>>(
      module, "AgentManager",
      "Host.agents(): the agents of a home folder. Safe from any thread and from any number of processes: operations "
      "on\n"
      "one agent take turns, those on different agents run side by side.")
      .def("templates", waits(&AgentManager::templates),
           "templates($self)\n--\n\n"
           "What agents are made from, by name: files of templates/ and the built-in ones.")
      .def("find_template", waits(&AgentManager::find_template), py::arg("name"),
           "find_template($self, name)\n--\n\n"
           "What agents of that kind are made from. NotFoundError, or InvalidArgumentError naming file and field.")
      .def("list", waits(&AgentManager::list),
           "list($self)\n--\n\n"
           "All agents, also stopped ones, by name. Quick: asks no guest.")
      .def("open", waits(&AgentManager::open), py::arg("name"),
           "open($self, name)\n--\n\n"
           "The agent of that name. NotFoundError if there is none.")
      .def("start", waits(&AgentManager::start), py::arg("config"), py::arg("options") = py::none(),
           "start($self, config, options=None)\n--\n\n"
           "Starts an agent: workspace (made if missing), machine, bot. A failure undoes what was done.\n\n"
           "AlreadyExistsError if it runs; NotFoundError for an unknown template or a missing image; TimeoutError,\n"
           "VmmError, GuestError with what the machine said. Agent.start_info() says how it went.\n"
           "Keep the result, or this object, for as long as an agent that is not detached is to run.")
      .def(
          "import_archive",
          [](const AgentManager& self, const py::object& file, const std::optional<AgentImportOptions>& given) {
            const int fd = descriptor(file);
            auto options = given.value_or(AgentImportOptions{});
            return blocking(options.stop, [&](std::stop_token stop) {
              options.stop = std::move(stop);
              return self.import_archive(fd, options);
            });
          },
          py::arg("file"), py::arg("options") = py::none(),
          "import_archive($self, file, options=None)\n--\n\n"
          "Makes what an archive (Agent.export_archive()) holds. Import memory only from people you trust. "
          "CorruptError, "
          "InvalidArgumentError,\n"
          "AlreadyExistsError.")
      .def("reconcile", waits(&AgentManager::reconcile),
           "reconcile($self)\n--\n\n"
           "Compares what is recorded with what runs: adopts, cleans, ends orphans.");
}

}  // namespace

void bind_agents(py::module_& module) {
  bind_watch(module);
  bind_shell(module);
  bind_manager(module);
  AgentClass type{
      module, "Agent",
      "One agent: its name, and the AgentManager that it is from. Unless it is detached it ends with the last of\n"
      "its objects and managers."};
  bind_life(type);
  bind_questions(type);
  bind_commands(type);
  type.def("__repr__", [](const Agent& self) { return "<Agent " + self.name() + ">"; });
}

}  // namespace fireclaw::python
