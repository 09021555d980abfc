#include "vmm/brief_pause.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <exception>
#include <string>
#include <utility>

#include "sys/poll.hpp"

namespace fireclaw::vmm {
namespace {

/// A process that was killed closes its connections a moment before it counts as ended.
constexpr std::chrono::seconds end_limit{3};

std::string reason_of(const std::exception_ptr& problem) {
  try {
    std::rethrow_exception(problem);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "it failed";
  }
}

}  // namespace

BriefPause::BriefPause(EngineProcess& process, Resume resume) : process_{process}, resume_{std::move(resume)} {}

void BriefPause::begin() { began_ = std::chrono::steady_clock::now(); }

void BriefPause::end() {
  try {
    resume_(Deadline::after(resume_limit));
  } catch (const Error& problem) {
    if (sys::wait_fd(process_.pidfd(), POLLIN, Deadline::after(end_limit)) == sys::WaitResult::Ready) throw;
    throw StaysPaused{problem.code(), fmt::format("the machine stays paused: {}", problem.what()),
                      std::current_exception()};
  }
  lasted_ = std::chrono::steady_clock::now() - *began_;
}

std::chrono::nanoseconds pause_briefly(EngineProcess& process, BriefPause::Resume resume,
                                       const std::function<void(BriefPause&)>& copy) {
  BriefPause brief_pause{process, std::move(resume)};
  try {
    copy(brief_pause);
  } catch (const StaysPaused&) {
    throw;
  } catch (...) {
    if (brief_pause.is_over()) throw;
    const auto failure = std::current_exception();
    try {
      brief_pause.end();
    } catch (const StaysPaused& problem) {
      throw StaysPaused{problem.code(), fmt::format("{}; and {}", reason_of(failure), problem.what()), failure};
    } catch (const Error&) {
      // The engine has ended, which the failure tells of.
    }
    throw;
  }
  return brief_pause.lasted();
}

}  // namespace fireclaw::vmm
