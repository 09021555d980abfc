#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/agents/impl.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/workspace.hpp"
#include "sys/process.hpp"

namespace fireclaw::core::testing {

/// A process that does nothing. It is killed with the object.
inline sys::Child sleeper() {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
  return sys::Child::spawn(spec);
}

/// A process that is no longer alive.
inline sys::ProcessId gone() { return sleeper().id(); }

/// A home folder with agents' records, in which nothing is started.
struct AgentHome {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "agent-home-test-"};
  Host handle = open();
  std::shared_ptr<Host::Impl> host = Access::impl(handle);
  AgentManager::Impl agents{handle};

  [[nodiscard]] Host open() const {
    HostOptions options;
    options.home = folder.path() / "home";
    return Host::open(options);
  }
  static state::AgentRecord record(const std::string& name = "ada") {
    state::AgentRecord made;
    made.name = name;
    made.template_name = "worker";
    made.network = "user";
    return made;
  }
  /// A machine of the agent, whose engine is `process`.
  [[nodiscard]] state::RunRecord run(const std::string& agent, const sys::ProcessId& process,
                                     const sys::ProcessId& owner = gone()) const {
    state::RunRecord made;
    made.owner = owner;
    made.detached = true;
    made.configured = true;
    made.agent = agent;
    made.network = "user";
    made.process = process;
    return host->runs.create(made);
  }
  void make_workspace(const std::string& name) const {
    WorkspaceConfig config;
    config.name = name;
    handle.workspaces().create(config);
  }
};

}  // namespace fireclaw::core::testing
