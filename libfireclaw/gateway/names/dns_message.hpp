#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "gateway/names/lookups.hpp"

namespace fireclaw::gateway {

// DNS messages (RFC 1035) between machines and the gateway.

namespace dns {

enum class Code : std::uint8_t { Ok = 0, BadFormat = 1, ServerFailed = 2, NoName = 3, NotImplemented = 4, Refused = 5 };

inline constexpr std::uint16_t type_a = 1;
inline constexpr std::uint16_t type_aaaa = 28;
/// The longest message by UDP. There is no EDNS here: longer ones come by TCP.
inline constexpr std::size_t most_udp_bytes = 512;

struct Question {
  std::uint16_t id = 0;
  bool recursion_desired = false;
  /// With special characters escaped, without a dot at its end.
  std::string name;
  std::uint16_t type = 0;
  std::uint16_t class_number = 0;
  /// The question's section as it was sent.
  std::string section;
};

/// The answer to a message that is not a question; empty: none.
using NotAQuestion = std::string;

std::variant<Question, NotAQuestion> read_question(std::string_view message);

/// An answer without records.
std::string answer(const Question& question, Code code);
/// An answer with addresses, as many as fit in `most_bytes`; it says so if not all do.
std::string answer(const Question& question, std::span<const Lookups::Address> addresses, std::size_t most_bytes);
/// Another server's answer to the same question. If it is longer than `most_bytes`, only its header, marked as cut.
std::string pass_on(const Question& question, std::string_view message, std::size_t most_bytes);

}  // namespace dns
}  // namespace fireclaw::gateway
