#pragma once

#include <fireclaw/agent.hpp>

#include "convert.hpp"

/// Agents.
namespace fireclaw::python {

template <>
struct Enumerators<AgentState> {
  static constexpr const char* name = "AgentState";
  static constexpr std::array values{std::pair{AgentState::Starting, std::string_view{"starting"}},
                                     std::pair{AgentState::Running, std::string_view{"running"}},
                                     std::pair{AgentState::Paused, std::string_view{"paused"}},
                                     std::pair{AgentState::Stopped, std::string_view{"stopped"}},
                                     std::pair{AgentState::Crashed, std::string_view{"crashed"}}};
};

template <>
struct Fields<AgentTemplate> {
  static constexpr const char* name = "AgentTemplate";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("description", of.description);
    field("nick", of.nick);
    field("model", of.model);
    field("persona", of.persona);
    field("trigger", of.trigger);
    field("tools", of.tools);
    field("channels", of.channels);
    field("image", of.image);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("workspace_mib", of.workspace_mib);
    field("scratch_mib", of.scratch_mib);
    field("file", of.file);
  }
};

template <>
struct Fields<AgentSettings> {
  static constexpr const char* name = "AgentSettings";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("model", of.model);
    field("persona", of.persona);
    field("trigger", of.trigger);
    field("tools", of.tools);
  }
};

template <>
struct Fields<AgentConfig> {
  static constexpr const char* name = "AgentConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("template_name", of.template_name);
    field("name", of.name);
    field("settings", of.settings);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("network", of.network);
    field("start", of.start);
    field("detached", of.detached);
    field("start_timeout", of.start_timeout);
    field("join_timeout", of.join_timeout);
    field("stop", of.stop);
    field("snapshot", of.snapshot);
  }
};

template <>
struct Fields<ForkConfig> {
  static constexpr const char* name = "ForkConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("settings", of.settings);
    field("detached", of.detached);
    field("start_timeout", of.start_timeout);
    field("join_timeout", of.join_timeout);
    field("stop", of.stop);
  }
};

template <>
struct Fields<AgentInfo> {
  static constexpr const char* name = "AgentInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("template_name", of.template_name);
    field("state", of.state);
    field("nick", of.nick);
    field("model", of.model);
    field("trigger", of.trigger);
    field("tools", of.tools);
    field("workspace", of.workspace);
    field("vm", of.vm);
    field("image", of.image);
    field("engine", of.engine);
    field("network", of.network);
    field("address", of.address);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("engine_pid", of.engine_pid);
    field("started", of.started);
    field("phases", of.phases);
    field("online", of.online);
    field("channels", of.channels);
    field("llm_errors", of.llm_errors);
    field("last_error", of.last_error);
    field("memory_bytes", of.memory_bytes);
    field("cpu_time", of.cpu_time);
    field("detached", of.detached);
  }
};

template <>
struct Fields<ReconcileReport> {
  static constexpr const char* name = "ReconcileReport";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("adopted", of.adopted);
    field("crashed", of.crashed);
    field("orphans", of.orphans);
    field("busy", of.busy);
    field("silent", of.silent);
  }
};

}  // namespace fireclaw::python
