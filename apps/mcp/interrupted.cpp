#include "interrupted.hpp"

#include <exception>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::mcp {

template <class Act>
auto ExplainedMachine::explained(const std::stop_token& stop, const Act& act) {
  const auto interruptions = [this] {
    const std::scoped_lock lock{mutex_};
    return std::pair{interruptions_, call_};
  };
  const auto before = interruptions().first;
  const auto explain = [&] {
    const auto [count, call] = interruptions();
    if (count != before && !stop.stop_requested()) {
      throw Error{ErrorCode::Cancelled,
                  fmt::format("the command was ended by {}, like all that ran in the machine; run it again", call)};
    }
  };
  try {
    return act(explain);
  } catch (const Error&) {
    explain();
    throw;
  }
}

ExecResult ExplainedMachine::exec(ExecOptions options) {
  const auto stop = options.stop;
  return explained(stop, [&](const auto& explain) {
    auto result = machine_->exec(std::move(options));
    // By a signal that it did not give itself, as far as can be seen.
    if (result.signal != 0 && !result.timed_out) explain();
    return result;
  });
}

std::string ExplainedMachine::read_file(const std::string& path, const FileOptions& options) {
  return explained(options.stop, [&](const auto&) { return machine_->read_file(path, options); });
}

FileInfo ExplainedMachine::write_file(const std::string& path, const std::string& content, const FileOptions& options) {
  return explained(options.stop, [&](const auto&) { return machine_->write_file(path, content, options); });
}

std::vector<FileInfo> ExplainedMachine::list_directory(const std::string& path, const FileOptions& options) {
  return explained(options.stop, [&](const auto&) { return machine_->list_directory(path, options); });
}

FileInfo ExplainedMachine::stat(const std::string& path, const FileOptions& options) {
  return explained(options.stop, [&](const auto&) { return machine_->stat(path, options); });
}

void ExplainedMachine::interrupt(const std::string& call, const std::function<void(Machine&)>& action) {
  {
    const std::scoped_lock lock{mutex_};
    ++interruptions_;
    call_ = call;
  }
  action(*machine_);
}

}  // namespace fireclaw::mcp
