#include "vmm/qemu/qmp.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "fireclaw/error.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"

namespace fireclaw::vmm::qemu {
namespace {

/// Events that nobody asks for come one at a time; more than this means that QEMU has gone wild.
constexpr std::size_t max_events = 256;

Error not_qmp(std::string_view line) {
  constexpr std::size_t shown = 80;
  return Error{ErrorCode::Vmm,
               fmt::format("QEMU's control socket says something that is not QMP: '{}'", line.substr(0, shown))};
}

}  // namespace

QmpClient::QmpClient(sys::Fd socket) : socket_{std::move(socket)} { send("qmp_capabilities"); }

std::uint64_t QmpClient::send(std::string_view command, std::string_view arguments, std::optional<int> fd) {
  const auto number = ++last_number_;
  std::string line = fmt::format(R"({{"execute":"{}","id":{})", command, number);
  if (!arguments.empty()) line += fmt::format(R"(,"arguments":{})", arguments);
  line += "}\n";
  try {
    if (fd) {
      sys::send_with_fd(socket_.get(), std::as_bytes(std::span{line}), *fd);
    } else {
      sys::write_all(socket_.get(), line);
    }
  } catch (const Error&) {
    // QEMU is gone. What it said before is still to be read, and reading tells of the end.
  }
  commands_.emplace(number, command);
  return number;
}

json::Value QmpClient::reply(std::uint64_t number, const Wait& wait) {
  const auto command = commands_.at(number);
  while (!replies_.contains(number)) receive(command, wait);
  const auto message = replies_.extract(number).mapped();
  commands_.erase(number);
  if (const auto error = message.find("error")) {
    throw Error{ErrorCode::Vmm, fmt::format("QEMU refused '{}': {}", command, error->at("desc").as_string())};
  }
  return message.at("return");
}

json::Value QmpClient::execute(std::string_view command, std::string_view arguments, const Wait& wait,
                               std::optional<int> fd) {
  return reply(send(command, arguments, fd), wait);
}

json::Value QmpClient::event(std::string_view name, const Wait& wait) {
  for (;;) {
    while (!events_.empty()) {
      const auto message = std::move(events_.front());
      events_.pop_front();
      if (message.at("event").as_string() != name) continue;
      if (auto data = message.find("data")) return std::move(*data);
      throw not_qmp(fmt::format("event '{}' without data", name));
    }
    receive(name, wait);
  }
}

void QmpClient::receive(std::string_view awaited, const Wait& wait) {
  const auto line = read_line(awaited, wait);
  try {
    const auto message = json::Value::parse(line, "QMP");
    if (message.find("event")) {
      if (events_.size() == max_events) events_.pop_front();
      events_.push_back(message);
    } else if (message.find("QMP")) {
      // The greeting. What it tells is known from the binary.
    } else if (message.find("return") || message.find("error")) {
      const auto number = message.at("id").as_uint();
      if (commands_.contains(number)) replies_.insert_or_assign(number, message);
    } else {
      throw not_qmp(line);
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Corrupt) throw;
    throw not_qmp(line);
  }
}

std::string QmpClient::read_line(std::string_view awaited, const Wait& wait) {
  std::size_t searched = 0;
  for (;;) {
    if (const auto end = buffer_.find('\n', searched); end != std::string::npos) {
      auto line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      if (line.ends_with('\r')) line.pop_back();
      return line;
    }
    searched = buffer_.size();
    if (buffer_.size() > max_line_bytes) throw not_qmp(buffer_);
    sys::require_fd(socket_.get(), POLLIN, wait.deadline, fmt::format("waiting for QEMU's answer to '{}'", awaited),
                    wait.stop);
    std::array<std::byte, 16384> bytes;
    std::ptrdiff_t got = 0;
    try {
      got = sys::read_some(socket_.get(), bytes);
    } catch (const Error&) {
      got = 0;  // a reset tells the same as an end of file
    }
    if (got == 0) {
      closed_ = true;
      throw Error{ErrorCode::Vmm, fmt::format("QEMU hung up instead of answering '{}'", awaited)};
    }
    if (got > 0) buffer_.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(got));
  }
}

}  // namespace fireclaw::vmm::qemu
