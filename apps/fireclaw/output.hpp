#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "common/text/text.hpp"
#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// Prints `value` indented, on standard output. Bytes that are not UTF-8 become U+FFFD. Returns 0, the exit status of a
/// successful command.
int print_json(const Json& value);

/// Acts on each and returns the exit status. A failure is printed, and the others have their turn; if there is only one
/// name, its error is thrown.
int for_each_of(const std::vector<std::string>& names, const std::function<void(const std::string&)>& action);
/// The same for a command's `action` that is told with --json: `done` names those for which it succeeded.
int for_each_of(const std::vector<std::string>& names, const char* done, bool json,
                const std::function<void(const std::string&)>& action);

/// Rows under headings, columns aligned. On a terminal empty columns are left out, and long ones are cut with "…" so
/// that lines fit; in a pipe everything is printed.
class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_{std::move(headings)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  void print() const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

/// A command's result; `status` is its exit status.
Json to_json(const ExecResult& result, int status);

/// One line a step: a bar that moves on a terminal, plain lines otherwise. Goes to standard error.
class ProgressPrinter {
 public:
  ProgressPrinter();
  void operator()(const Progress& progress);
  /// Ends a bar that is on the screen, e.g. before an error is printed.
  void finish();

 private:
  bool terminal_;
  /// When each open step began. A step can contain others.
  std::map<std::string, std::chrono::steady_clock::time_point, std::less<>> began_;
  /// The step whose bar is on the screen; empty if there is none.
  std::string shown_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace fireclaw::cli
