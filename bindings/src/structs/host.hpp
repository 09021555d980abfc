#pragma once

#include <fireclaw/host.hpp>

#include "convert.hpp"

/// A host: how it is opened, set up and looked at.
namespace fireclaw::python {

template <>
struct Enumerators<Engine> {
  static constexpr const char* name = "Engine";
  static constexpr std::array values{std::pair{Engine::Auto, std::string_view{"auto"}},
                                     std::pair{Engine::Firecracker, std::string_view{"firecracker"}},
                                     std::pair{Engine::Qemu, std::string_view{"qemu"}},
                                     std::pair{Engine::QemuKvm, std::string_view{"qemu-kvm"}},
                                     std::pair{Engine::QemuTcg, std::string_view{"qemu-tcg"}}};
};

template <>
struct Fields<EngineVerdict> {
  static constexpr const char* name = "EngineVerdict";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("engine", of.engine);
    field("binary", of.binary);
    field("version", of.version);
    field("cpu_model", of.cpu_model);
    field("kernel_release", of.kernel_release);
    field("kernel_sha256", of.kernel_sha256);
    field("works", of.works);
    field("reason", of.reason);
    field("boot_time", of.boot_time);
  }
};

template <>
struct Fields<HostOptions> {
  static constexpr const char* name = "HostOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("home", of.home);
    field("engine", of.engine);
    field("firecracker", of.firecracker);
    field("qemu", of.qemu);
    field("search_path", of.search_path);
    field("tool_environment", of.tool_environment);
    field("cache", of.cache);
    field("guestd", of.guestd);
    field("agent", of.agent);
    field("log", of.log);
  }
};

template <>
struct Fields<SetupOptions> {
  static constexpr const char* name = "SetupOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("kernel", of.kernel);
    field("agents", of.agents);
    field("force", of.force);
    field("progress", of.progress);
    field("stop", of.stop);
  }
};

template <>
struct Fields<SetupReport> {
  static constexpr const char* name = "SetupReport";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("engines", of.engines);
    field("engine", of.engine);
    field("image", of.image);
    field("agent_image", of.agent_image);
    field("snapshot", of.snapshot);
    field("network_snapshot", of.network_snapshot);
    field("already_done", of.already_done);
  }
};

template <>
struct Enumerators<CheckStatus> {
  static constexpr const char* name = "CheckStatus";
  static constexpr std::array values{std::pair{CheckStatus::Ok, std::string_view{"ok"}},
                                     std::pair{CheckStatus::Warning, std::string_view{"warning"}},
                                     std::pair{CheckStatus::Missing, std::string_view{"missing"}}};
};

template <>
struct Fields<Check> {
  static constexpr const char* name = "Check";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("status", of.status);
    field("detail", of.detail);
    field("remedy", of.remedy);
  }
};

template <>
struct Fields<GarbageReport> {
  static constexpr const char* name = "GarbageReport";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("ended", of.ended);
    field("removed", of.removed);
    field("addresses", of.addresses);
  }
};

}  // namespace fireclaw::python
