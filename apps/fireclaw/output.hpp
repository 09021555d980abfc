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
/// command that has nothing more to say.
int print_json(const Json& value);

/// Rows under headings, columns aligned. On a terminal columns that hold nothing are left out, and long ones cut with
/// "…" so that lines fit; in a pipe all is there.
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

/// What came of a command; `status` is the exit status that stands for it.
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
  /// When each step that has not ended began. One step may contain others.
  std::map<std::string, std::chrono::steady_clock::time_point, std::less<>> began_;
  /// The step whose bar is on the screen; empty if there is none.
  std::string shown_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace fireclaw::cli
