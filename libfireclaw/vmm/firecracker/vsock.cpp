#include "vmm/firecracker/vsock.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <string>

#include "fireclaw/error.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"

namespace fireclaw::vmm::firecracker {

namespace {

/// "OK 4294967295\n" and some room.
constexpr std::size_t longest_answer = 32;

[[noreturn]] void engine_ended(std::string_view what) {
  throw Error{ErrorCode::Vmm, fmt::format("{}: the engine has ended", what)};
}

bool is_ok(std::string_view line) {
  if (!line.starts_with("OK ") || line.size() == 3) return false;
  for (const char c : line.substr(3)) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) return false;
  }
  return true;
}

/// One line, and not a byte of what follows: that is the guest's. Empty at a hang-up.
std::string read_line(int socket, const WaitLimits& limits, std::string_view what) {
  std::string line;
  while (line.size() < longest_answer) {
    if (await(socket, limits, what) == Awaited::EngineEnded) engine_ended(what);
    std::array<char, longest_answer> seen{};
    const auto got =
        sys::retry([&] { return ::recv(socket, seen.data(), longest_answer - line.size(), MSG_PEEK | MSG_DONTWAIT); });
    if (got < 0 && errno == EAGAIN) continue;
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return {};
    sys::check(got, what);
    const std::string_view bytes{seen.data(), static_cast<std::size_t>(got)};
    const auto end = bytes.find('\n');
    const std::size_t taken = end == std::string_view::npos ? bytes.size() : end + 1;
    sys::check(sys::retry([&] { return ::recv(socket, seen.data(), taken, MSG_DONTWAIT); }), what);
    line.append(bytes.substr(0, end));
    if (end != std::string_view::npos) break;
  }
  return line;
}

}  // namespace

Awaited await(int fd, const WaitLimits& limits, std::string_view what) {
  const sys::StopFd stop_fd{limits.stop};
  std::array<pollfd, 3> polled{pollfd{fd, POLLIN, 0}, pollfd{limits.engine_pidfd, POLLIN, 0},
                               pollfd{stop_fd.fd(), POLLIN, 0}};
  for (;;) {
    if (stop_fd.requested()) throw Error{ErrorCode::Cancelled, fmt::format("{} cancelled", what)};
    const int ready = ::poll(polled.data(), polled.size(), limits.deadline.poll_timeout_ms());
    if (ready < 0 && errno != EINTR) sys::throw_errno("poll");
    if (ready > 0 && polled[0].revents != 0) return Awaited::Ready;
    if (ready > 0 && polled[1].revents != 0) return Awaited::EngineEnded;
    if (ready == 0) limits.deadline.check(what);
  }
}

std::optional<sys::Fd> vsock_connect(const std::filesystem::path& socket, unsigned port, const WaitLimits& limits) {
  const std::string what = fmt::format("connecting to the guest's port {}", port);
  std::optional<sys::Fd> stream;
  try {
    stream = sys::unix_connect(socket, sys::Links::Refuse);
  } catch (const Error& error) {
    throw Error{ErrorCode::Vmm, fmt::format("{}: {}", what, error.what()), std::current_exception()};
  }
  try {
    sys::write_all(stream->get(), fmt::format("CONNECT {}\n", port), limits.deadline);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Io) return std::nullopt;  // it hung up on us already
    throw;
  }
  const std::string answer = read_line(stream->get(), limits, what);
  if (answer.empty()) return std::nullopt;
  if (!is_ok(answer)) {
    throw Error{ErrorCode::Vmm, fmt::format("{}: the engine answered '{}', not 'OK'", what, answer)};
  }
  return stream;
}

sys::Fd vsock_accept(int listener, const WaitLimits& limits) {
  constexpr std::string_view what = "waiting for the guest to come up";
  if (await(listener, limits, what) == Awaited::EngineEnded) engine_ended(what);
  return sys::unix_accept(listener, limits.deadline, limits.stop);
}

}  // namespace fireclaw::vmm::firecracker
