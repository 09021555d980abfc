#include "interrupted.hpp"

#include <exception>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::mcp {

ExecResult ExplainedMachine::exec(ExecOptions options) {
  const auto interruptions = [this] {
    const std::scoped_lock lock{mutex_};
    return std::pair{interruptions_, call_};
  };
  const auto before = interruptions().first;
  const auto stop = options.stop;
  const auto explain = [&] {
    const auto [count, call] = interruptions();
    if (count != before && !stop.stop_requested()) {
      throw Error{ErrorCode::Cancelled,
                  fmt::format("the command was ended by {}, as all that run in the machine then; run it again", call)};
    }
  };
  try {
    auto result = machine_->exec(std::move(options));
    // By a signal that it did not give itself, as far as can be seen.
    if (result.signal != 0 && !result.timed_out) explain();
    return result;
  } catch (const Error&) {
    explain();
    throw;
  }
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
