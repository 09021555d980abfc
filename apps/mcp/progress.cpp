#include "progress.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "message.hpp"

namespace fireclaw::mcp {
namespace {

constexpr std::size_t most_told = 4096;
/// So many at once, and then so many a second.
constexpr double burst = 20;
constexpr double rate = 10;

}  // namespace

ProgressReporter::ProgressReporter(std::function<void(const Json&)> send, Json token, bool messages,
                                   std::function<Clock::time_point()> now)
    : send_{std::move(send)},
      token_(std::move(token)),
      messages_{messages},
      now_{std::move(now)},
      untold_{most_told},
      allowed_{burst},
      counted_{now_()},
      began_{counted_},
      told_{counted_} {}

bool ProgressReporter::may_send(Clock::time_point now) {
  allowed_ = std::min(burst, allowed_ + rate * std::chrono::duration<double>{now - counted_}.count());
  counted_ = now;
  if (allowed_ < 1) return false;
  allowed_ -= 1;
  return true;
}

void ProgressReporter::tell(Clock::time_point now, std::string message) {
  Json params{{"progressToken", token_}, {"progress", progress_}};
  if (messages_) params["message"] = std::move(message);
  untold_ = BoundedOutput{most_told};
  told_ = now;
  send_(notification_message("notifications/progress", std::move(params)));
}

void ProgressReporter::operator()(std::string_view output) {
  const std::scoped_lock lock{mutex_};
  if (ended_ || output.empty()) return;
  progress_ += output.size();
  untold_.add(output);
  if (const auto now = now_(); may_send(now)) tell(now, untold_.text());
}

void ProgressReporter::keep_up(std::chrono::milliseconds silence) {
  const std::scoped_lock lock{mutex_};
  const auto now = now_();
  if (ended_ || now - told_ < silence) return;
  if (untold_.total() > 0) return tell(now, untold_.text());
  ++progress_;
  tell(now, fmt::format("still under way after {:.0f} s", std::chrono::duration<double>{now - began_}.count()));
}

void ProgressReporter::end() {
  const std::scoped_lock lock{mutex_};
  ended_ = true;
}

}  // namespace fireclaw::mcp
