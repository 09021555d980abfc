#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "output.hpp"

namespace fireclaw::cli {

/// Options of commands that copy files out of a machine.
struct CopyChoices {
  std::string links = "inside";
  std::string limit;

  void add_to(CLI::App& command);
  /// Error(InvalidArgument) if they make no sense.
  [[nodiscard]] CopyOptions options() const;
};

/// Says on standard error what a copy left out, if anything.
void tell_left_out(std::string_view source, const CopyResult& copied);

/// --copy-in and --copy-out of a command that runs something in between.
class RunCopies {
 public:
  void add_to(CLI::App& command);
  /// Call once the command line is parsed. `user`: the command's user; `timeout`: limits the copies before it, and
  /// again those after it, to five seconds at least.
  void prepare(const std::string& user, const std::optional<std::chrono::milliseconds>& timeout, std::stop_token stop);

  [[nodiscard]] bool has_copy_out() const { return !out_texts_.empty(); }

  /// A failure is an Error.
  void copy_in(VM& vm);
  /// A failure is reported on standard error and remembered: the command's end counts first.
  void copy_out(VM& vm);

  /// The exit status, after a command that ended with `status`.
  [[nodiscard]] int status_after(int status) const;
  /// One object a copy.
  [[nodiscard]] const Json& report() const { return report_; }

 private:
  struct Copy {
    std::string source;
    std::string target;
  };
  static std::vector<Copy> parse(const std::vector<std::string>& texts, std::string_view option);
  /// For the copies that begin now.
  void start_clock();
  [[nodiscard]] CopyOptions options_now() const;
  void note(const Copy& copy, const CopyResult& copied);

  std::vector<std::string> in_texts_;
  std::vector<std::string> out_texts_;
  std::string owner_;
  CopyChoices choices_;

  std::vector<Copy> in_;
  std::vector<Copy> out_;
  CopyOptions options_;
  std::optional<std::chrono::steady_clock::time_point> until_;
  Json report_ = Json::array();
  int failure_ = 0;
};

}  // namespace fireclaw::cli
