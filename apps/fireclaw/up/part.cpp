#include "up/part.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "common/text/style.hpp"
#include "common/text/text.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::cli {
namespace {

constexpr std::string_view program_prefix = "fireclaw-overseer: ";
/// As syslog(3) has it. What is less urgent is not shown.
constexpr char warning_digit = '4';
constexpr std::size_t longest_line = 4096;

[[noreturn]] void fail(const char* what) {
  throw Error{ErrorCode::Io, fmt::format("{}: {}", what, std::strerror(errno))};
}

void wake(int fd) {
  const std::uint64_t one = 1;
  // It can only fail if it is readable already.
  if (::write(fd, &one, sizeof one) < 0) return;
}

Fd make_event() {
  Fd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!event) fail("eventfd");
  return event;
}

/// A socket with a name that the kernel makes up, and that name as NOTIFY_SOCKET has it.
std::pair<Fd, std::string> make_notify_socket() {
  Fd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto* const place = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (!socket || ::bind(socket.get(), place, sizeof(sa_family_t)) != 0 ||
      ::getsockname(socket.get(), place, &size) != 0) {
    fail("a socket for what a service says");
  }
  return {std::move(socket), "@" + std::string{address.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1}};
}

}  // namespace

std::optional<int> wait_readable(std::initializer_list<int> fds, std::optional<std::chrono::milliseconds> limit,
                                 const std::stop_token& stop) {
  const auto event = make_event();
  const std::stop_callback on_stop{stop, [&event] { wake(event.get()); }};
  std::vector<pollfd> waits{{event.get(), POLLIN, 0}};
  for (const int fd : fds) waits.push_back({fd, POLLIN, 0});
  const auto began = std::chrono::steady_clock::now();
  for (;;) {
    int left = -1;
    if (limit) {
      const auto passed =
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
      if (passed >= *limit) return std::nullopt;
      left = static_cast<int>((*limit - passed).count());
    }
    if (::poll(waits.data(), waits.size(), left) < 0 && errno != EINTR) fail("poll");
    if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "interrupted"};
    for (std::size_t i = 1; i < waits.size(); ++i) {
      if (waits[i].revents != 0) return waits[i].fd;
    }
  }
}

Part::Part(std::string name, std::vector<std::string> argv) : name_{std::move(name)}, wake_{make_event()} {
  auto [socket, notify] = make_notify_socket();
  ready_ = std::move(socket);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe");
  log_ = Fd{ends[0]};
  const Fd output{ends[1]};
  struct stat about {};
  if (::fstat(output.get(), &about) != 0) fail("fstat");
  // By this it says how urgent each line is.
  const auto journal = fmt::format("JOURNAL_STREAM={}:{}", about.st_dev, about.st_ino);
  child_.emplace(ChildOptions{std::move(argv), {"NOTIFY_SOCKET=" + notify, journal}, output.get(), true});
  reader_ = std::thread{[this] { read_log(); }};
}

Part::~Part() {
  child_->signal(SIGKILL);
  child_->wait();
  stop_reading();
}

void Part::wait_ready(std::chrono::milliseconds limit, const std::stop_token& stop) {
  for (;;) {
    const auto first = wait_readable({ready_.get(), child_->fd()}, limit, stop);
    if (!first) throw Error{ErrorCode::Timeout, fmt::format("{} does not serve yet", name_)};
    if (*first == child_->fd()) throw Error{ErrorCode::InvalidState, why_ended()};
    std::array<char, 1024> told{};
    const auto size = ::recv(ready_.get(), told.data(), told.size(), MSG_DONTWAIT);
    if (size > 0 && std::string_view{told.data(), static_cast<std::size_t>(size)}.starts_with("READY=1")) return;
  }
}

std::string Part::why_ended() {
  const auto how = describe_end(child_->wait());
  stop_reading();
  return fmt::format("{}: {}", name_, last_.empty() ? "it ended with " + how : last_);
}

void Part::end(std::chrono::milliseconds limit) {
  child_->signal(SIGTERM);
  if (!wait_readable({child_->fd()}, limit, {})) child_->signal(SIGKILL);
  child_->wait();
  stop_reading();
}

void Part::stop_reading() {
  if (!reader_.joinable()) return;
  wake(wake_.get());
  reader_.join();
}

void Part::read_log() {
  std::string rest;
  std::array<char, 4096> bytes{};
  for (bool last = false; !last;) {
    std::array<pollfd, 2> waits{pollfd{log_.get(), POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
    if (waits[0].revents == 0) {
      last = waits[1].revents != 0;
      continue;
    }
    const auto size = ::read(log_.get(), bytes.data(), bytes.size());
    if (size <= 0) return;
    rest.append(bytes.data(), static_cast<std::size_t>(size));
    for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
      take_line(std::string_view{rest}.substr(0, end));
      rest.erase(0, end + 1);
    }
    if (rest.size() > longest_line) rest.clear();
  }
}

void Part::take_line(std::string_view line) {
  // The IRC server itself writes here too.
  const bool ranked = line.size() > 3 && line[0] == '<' && line[2] == '>';
  const bool failed = line.starts_with(program_prefix);
  if ((!ranked && !failed) || (ranked && line[1] > warning_digit)) return;
  line.remove_prefix(ranked ? 3 : program_prefix.size());
  last_ = line;
  if (ranked) print_message("fireclaw", fmt::format("{}: {}", name_, line));
}

}  // namespace fireclaw::cli
