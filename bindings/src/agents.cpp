#include "waits.hpp"

namespace fireclaw::python {
namespace {

using ShellHandle = Handle<Running<AgentShell>>;
using AgentClass = py::class_<Agent, std::shared_ptr<Agent>>;

void bind_watch(py::module_& module) {
  py::class_<AgentWatch> type{module, "AgentWatch", "Turns readable (fileno()) once an agent's machine has ended."};
  define(type, methods::AgentWatch::fileno(), &AgentWatch::fd);
  define(type, methods::AgentWatch::ended(), &AgentWatch::ended);
  define(type, methods::AgentWatch::wait(), waits(&AgentWatch::wait));
}

void bind_shell(py::module_& module) {
  py::class_<ShellHandle> type{module, "AgentShell",
                               "A shell in an agent's machine, by SSH. Ends with its last reference."};
  define(type, methods::AgentShell::wait(), &wait_for<AgentShell>);
  define(type, methods::AgentShell::resize(), &resize<AgentShell>);
}

void bind_life(AgentClass& type) {
  define(type, methods::Agent::fork(), waits(&Agent::fork));
  define(type, methods::Agent::snapshot(), waits(&Agent::snapshot));
  define(type, methods::Agent::export_archive(), waits<File>(&Agent::export_archive));
  define(type, methods::Agent::stop(), waits(&Agent::stop));
  define(type, methods::Agent::restart(), waits(&Agent::restart));
  define(type, methods::Agent::remove(), waits(&Agent::remove));
  define(type, methods::Agent::pause(), waits(&Agent::pause));
  define(type, methods::Agent::resume(), waits(&Agent::resume));
  define(type, methods::Agent::reload(), waits(&Agent::reload));
}

void bind_questions(AgentClass& type) {
  type.def_property_readonly("name", &Agent::name, "Its name.");
  define(type, methods::Agent::info(), waits(&Agent::info));
  define(type, methods::Agent::start_info(), waits(&Agent::start_info));
  define(type, methods::Agent::status(), waits(&Agent::status));
  define(type, methods::Agent::watch(), waits(&Agent::watch));
  define(type, methods::Agent::logs(),
         [](const Agent& self, std::size_t lines) { return text(blocking([&] { return self.logs(lines); })); });
  define(type, methods::Agent::follow_logs(),
         [](const Agent& self, std::size_t lines, const py::object& on_output, const StopSource* stop) {
           const auto callback = output_callback(on_output);
           blocking(token_of(stop), [&](const std::stop_token& token) { self.follow_logs(lines, callback, token); });
         });
  define(type, methods::Agent::memory(),
         [](const Agent& self) { return text(blocking([&] { return self.memory(); })); });
}

void bind_commands(AgentClass& type) {
  define(type, methods::Agent::exec(), [](const Agent& self, const py::object& command, const py::kwargs& keywords) {
    auto options = exec_options(command, keywords);
    return blocking(options.stop, [&](std::stop_token stop) {
      options.stop = std::move(stop);
      return self.exec(std::move(options));
    });
  });
  define(type, methods::Agent::spawn(), [](const Agent& self, const py::object& command, const py::kwargs& keywords) {
    return start_command(exec_options(command, keywords),
                         [&](ExecOptions options) { return self.spawn(std::move(options)); });
  });
  define(type, methods::Agent::ssh(), [](const Agent& self, const py::object& command, const py::kwargs& keywords) {
    const auto given = command.is_none() ? py::object{py::list{}} : command;
    return start_command(exec_options(given, keywords),
                         [&](ExecOptions options) { return self.ssh(std::move(options)); });
  });
  define(type, methods::Agent::machine(), waits(&Agent::machine));
}

void bind_manager(py::module_& module) {
  py::class_<AgentManager, std::shared_ptr<AgentManager>> type{
      module, "AgentManager",
      "Host.agents(): the agents of a home folder. Safe from any thread and from any number of processes: operations "
      "on\none agent take turns, those on different agents run side by side."};
  define(type, methods::AgentManager::templates(), waits(&AgentManager::templates));
  define(type, methods::AgentManager::find_template(), waits(&AgentManager::find_template));
  define(type, methods::AgentManager::list(), waits(&AgentManager::list));
  define(type, methods::AgentManager::open(), waits(&AgentManager::open));
  define(type, methods::AgentManager::start(), waits(&AgentManager::start));
  define(type, methods::AgentManager::import_archive(), waits<File>(&AgentManager::import_archive));
  define(type, methods::AgentManager::reconcile(), waits(&AgentManager::reconcile));
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
