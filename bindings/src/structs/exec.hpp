#pragma once

#include <fireclaw/error.hpp>
#include <fireclaw/exec.hpp>
#include <fireclaw/log.hpp>

#include "convert.hpp"

/// Commands, their output, and what goes wrong.
namespace fireclaw::python {

template <>
struct Enumerators<ErrorCode> {
  static constexpr const char* name = "ErrorCode";
  static constexpr std::array values{std::pair{ErrorCode::InvalidArgument, std::string_view{"invalid_argument"}},
                                     std::pair{ErrorCode::NotFound, std::string_view{"not_found"}},
                                     std::pair{ErrorCode::AlreadyExists, std::string_view{"already_exists"}},
                                     std::pair{ErrorCode::InvalidState, std::string_view{"invalid_state"}},
                                     std::pair{ErrorCode::PermissionDenied, std::string_view{"permission_denied"}},
                                     std::pair{ErrorCode::Unsupported, std::string_view{"unsupported"}},
                                     std::pair{ErrorCode::Timeout, std::string_view{"timeout"}},
                                     std::pair{ErrorCode::Cancelled, std::string_view{"cancelled"}},
                                     std::pair{ErrorCode::Io, std::string_view{"io"}},
                                     std::pair{ErrorCode::Vmm, std::string_view{"vmm"}},
                                     std::pair{ErrorCode::Guest, std::string_view{"guest"}},
                                     std::pair{ErrorCode::Corrupt, std::string_view{"corrupt"}},
                                     std::pair{ErrorCode::Internal, std::string_view{"internal"}}};
};

template <>
struct Enumerators<LogLevel> {
  static constexpr const char* name = "LogLevel";
  static constexpr std::array values{
      std::pair{LogLevel::Debug, std::string_view{"debug"}}, std::pair{LogLevel::Info, std::string_view{"info"}},
      std::pair{LogLevel::Warning, std::string_view{"warning"}}, std::pair{LogLevel::Error, std::string_view{"error"}}};
};

template <>
struct Fields<WindowSize> {
  static constexpr const char* name = "WindowSize";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("rows", of.rows);
    field("columns", of.columns);
  }
};

template <>
struct Fields<ExecOptions> {
  static constexpr const char* name = "ExecOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("argv", of.argv);
    field.environment("env", of.env);
    field("cwd", of.cwd);
    field("user", of.user);
    field.bytes("input", of.input);
    field.descriptor("input_fd", of.input_fd);
    field("tty", of.tty);
    field("window_size", of.window_size);
    field("timeout", of.timeout);
    field("stop", of.stop);
    field("on_stdout", of.on_stdout);
    field("on_stderr", of.on_stderr);
    field("max_output_bytes", of.max_output_bytes);
  }
};

template <>
struct Fields<ExecResult> {
  static constexpr const char* name = "ExecResult";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("exit_code", of.exit_code);
    field("signal", of.signal);
    field("timed_out", of.timed_out);
    field("cancelled", of.cancelled);
    field("truncated", of.truncated);
    field.bytes("out", of.out);
    field.bytes("err", of.err);
    field("duration", of.duration);
  }
};

}  // namespace fireclaw::python
