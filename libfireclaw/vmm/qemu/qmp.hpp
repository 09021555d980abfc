#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/deadline.hpp"
#include "json/json.hpp"
#include "sys/fd.hpp"

namespace fireclaw::vmm::qemu {

/// The limits of a wait.
struct Wait {
  Deadline deadline = Deadline::never();
  std::stop_token stop;
};

/// A client of QEMU's machine protocol. Owns its socket; for one thread at a time. A refusal, or an answer that
/// is not QMP, throws Error(Vmm); silence throws Error(Timeout).
class QmpClient {
 public:
  /// The longest reply or event that is accepted.
  static constexpr std::size_t max_line_bytes = std::size_t{1} << 20;

  /// Asks for command mode; other commands may follow at once, without waiting for QEMU's greeting.
  explicit QmpClient(sys::Fd socket);

  /// Sends a command and returns its number, without waiting. `arguments` is a JSON object or empty. With `fd`, that
  /// descriptor goes along.
  std::uint64_t send(std::string_view command, std::string_view arguments = {}, std::optional<int> fd = std::nullopt);
  /// The reply to command `number`, which is given once.
  json::Value reply(std::uint64_t number, const Wait& wait);
  /// send and reply.
  json::Value execute(std::string_view command, std::string_view arguments, const Wait& wait,
                      std::optional<int> fd = std::nullopt);
  /// The data of the oldest event `name` that was not taken yet, waited for if need be; others before it are dropped.
  json::Value event(std::string_view name, const Wait& wait);
  /// Whether QEMU has hung up.
  [[nodiscard]] bool closed() const noexcept { return closed_; }

 private:
  /// Reads one message and files it.
  void receive(std::string_view awaited, const Wait& wait);
  std::string read_line(std::string_view awaited, const Wait& wait);

  sys::Fd socket_;
  std::string buffer_;
  std::uint64_t last_number_ = 0;
  bool closed_ = false;
  /// Commands whose replies have not been asked for yet.
  std::map<std::uint64_t, std::string> commands_;
  std::map<std::uint64_t, json::Value> replies_;
  std::deque<json::Value> events_;
};

}  // namespace fireclaw::vmm::qemu
