#include "progress.hpp"

#include <algorithm>
#include <utility>

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
      counted_{now_()} {}

bool ProgressReporter::may_send() {
  const auto now = now_();
  allowed_ = std::min(burst, allowed_ + rate * std::chrono::duration<double>{now - counted_}.count());
  counted_ = now;
  if (allowed_ < 1) return false;
  allowed_ -= 1;
  return true;
}

void ProgressReporter::operator()(std::string_view output) {
  total_ += output.size();
  untold_.add(output);
  if (output.empty() || !may_send()) return;
  Json params{{"progressToken", token_}, {"progress", total_}};
  if (messages_) params["message"] = untold_.text();
  untold_ = BoundedOutput{most_told};
  send_(notification_message("notifications/progress", std::move(params)));
}

}  // namespace fireclaw::mcp
