#pragma once

#include <fireclaw/service.hpp>

#include "convert.hpp"

/// Long-lived programs of guests.
namespace fireclaw::python {

template <>
struct Enumerators<RestartPolicy> {
  static constexpr const char* name = "RestartPolicy";
  static constexpr std::array values{std::pair{RestartPolicy::Never, std::string_view{"never"}},
                                     std::pair{RestartPolicy::OnFailure, std::string_view{"on-failure"}},
                                     std::pair{RestartPolicy::Always, std::string_view{"always"}}};
};

template <>
struct Enumerators<ServiceState> {
  static constexpr const char* name = "ServiceState";
  static constexpr std::array values{std::pair{ServiceState::Running, std::string_view{"running"}},
                                     std::pair{ServiceState::BackingOff, std::string_view{"backing-off"}},
                                     std::pair{ServiceState::Stopped, std::string_view{"stopped"}},
                                     std::pair{ServiceState::Failed, std::string_view{"failed"}}};
};

template <>
struct Fields<ServiceOptions> {
  static constexpr const char* name = "ServiceOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("argv", of.argv);
    field.environment("env", of.env);
    field("cwd", of.cwd);
    field("user", of.user);
    field("log", of.log);
    field("log_limit_bytes", of.log_limit_bytes);
    field("restart", of.restart);
    field("backoff_first", of.backoff_first);
    field("backoff_longest", of.backoff_longest);
  }
};

template <>
struct Fields<ServiceInfo> {
  static constexpr const char* name = "ServiceInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("state", of.state);
    field("pid", of.pid);
    field("restarts", of.restarts);
    field("exit_code", of.exit_code);
    field("signal", of.signal);
    field("uptime", of.uptime);
    field("problem", of.problem);
  }
};

}  // namespace fireclaw::python
