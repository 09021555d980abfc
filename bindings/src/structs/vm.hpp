#pragma once

#include <fireclaw/pool.hpp>
#include <fireclaw/snapshot.hpp>
#include <fireclaw/vm.hpp>

#include "convert.hpp"

/// Machines, what they are restored from, and pools of them.
namespace fireclaw::python {

template <>
struct Enumerators<StartMode> {
  static constexpr const char* name = "StartMode";
  static constexpr std::array values{std::pair{StartMode::PreferSnapshot, std::string_view{"prefer-snapshot"}},
                                     std::pair{StartMode::Cold, std::string_view{"cold"}},
                                     std::pair{StartMode::RequireSnapshot, std::string_view{"require-snapshot"}}};
};

template <>
struct Enumerators<VMState> {
  static constexpr const char* name = "VMState";
  static constexpr std::array values{std::pair{VMState::Created, std::string_view{"created"}},
                                     std::pair{VMState::Running, std::string_view{"running"}},
                                     std::pair{VMState::Paused, std::string_view{"paused"}},
                                     std::pair{VMState::Stopped, std::string_view{"stopped"}}};
};

template <>
struct Fields<VMConfig> {
  static constexpr const char* name = "VMConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("image", of.image);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("network", of.network);
    field("nat", of.nat);
    field("start", of.start);
    field("snapshot", of.snapshot);
    field("hostname", of.hostname);
    field("detached", of.detached);
    field("workspace", of.workspace);
    field("scratch_mib", of.scratch_mib);
    field("scratch_target", of.scratch_target);
    field("scratch_uid", of.scratch_uid);
    field("scratch_gid", of.scratch_gid);
    field("start_timeout", of.start_timeout);
    field("stop", of.stop);
  }
};

template <>
struct Fields<Phase> {
  static constexpr const char* name = "Phase";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("duration", of.duration);
  }
};

template <>
struct Fields<VMInfo> {
  static constexpr const char* name = "VMInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("id", of.id);
    field("state", of.state);
    field("image", of.image);
    field("engine", of.engine);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("network", of.network);
    field("address", of.address);
    field("hostname", of.hostname);
    field("snapshot", of.snapshot);
    field("detached", of.detached);
    field("workspace", of.workspace);
    field("agent", of.agent);
    field("engine_pid", of.engine_pid);
    field("created", of.created);
    field("phases", of.phases);
  }
};

template <>
struct Fields<CopyResult> {
  static constexpr const char* name = "CopyResult";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("files", of.files);
    field("bytes", of.bytes);
  }
};

template <>
struct Fields<SnapshotInfo> {
  static constexpr const char* name = "SnapshotInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("image", of.image);
    field("engine", of.engine);
    field("cpus", of.cpus);
    field("memory_mib", of.memory_mib);
    field("network_device", of.network_device);
    field("bytes", of.bytes);
    field("created", of.created);
    field("automatic", of.automatic);
    field("agent", of.agent);
    field("usable", of.usable);
    field("reason", of.reason);
  }
};

template <>
struct Fields<PoolConfig> {
  static constexpr const char* name = "PoolConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("machine", of.machine);
    field("size", of.size);
  }
};

}  // namespace fireclaw::python
