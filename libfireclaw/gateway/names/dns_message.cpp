#include "gateway/names/dns_message.hpp"

#include <algorithm>

#include "gateway/names/cares.hpp"

namespace fireclaw::gateway::dns {
namespace {

constexpr std::size_t header_bytes = 12;
constexpr long longest_name = 255;
/// A name that is where the question's is, type, class, time to live, length, address.
constexpr std::size_t address_bytes = 16;
constexpr std::uint16_t class_internet = 1;
// Bits of the header's second word.
constexpr unsigned is_answer = 0x8000;
constexpr unsigned opcode = 0x7800;
constexpr unsigned truncated = 0x0200;
constexpr unsigned recursion_desired = 0x0100;
constexpr unsigned recursion_available = 0x0080;

std::uint16_t word(std::string_view bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(bytes[i])); };
  return static_cast<std::uint16_t>(byte(at) << 8U | byte(at + 1));
}

/// Whether the first name in a message refers to another: nothing stands before a question that it could.
bool is_compressed(std::string_view message) {
  constexpr unsigned reference = 0xC0;
  for (auto at = header_bytes; at < message.size() && message[at] != 0;) {
    const unsigned label = static_cast<unsigned char>(message[at]);
    if ((label & reference) != 0) return true;
    at += label + 1;
  }
  return false;
}

void put(std::string& bytes, std::uint32_t value, unsigned size) {
  for (unsigned i = size; i > 0; --i) bytes += static_cast<char>(value >> ((i - 1) * 8) & 0xFFU);
}

std::string head(const Question& question, Code code, unsigned flags, std::size_t records) {
  std::string bytes;
  put(bytes, question.id, 2);
  put(bytes,
      is_answer | recursion_available | flags | (question.recursion_desired ? recursion_desired : 0U) |
          static_cast<unsigned>(code),
      2);
  put(bytes, question.section.empty() ? 0 : 1, 2);
  put(bytes, static_cast<std::uint32_t>(records), 2);
  put(bytes, 0, 4);
  return bytes + question.section;
}

}  // namespace

std::variant<Question, NotAQuestion> read_question(std::string_view message) {
  // Another's answer, or nothing: who answers that could be made to talk with itself.
  if (message.size() < header_bytes || (word(message, 2) & is_answer) != 0) return NotAQuestion{};
  Question question;
  question.id = word(message, 0);
  const unsigned flags = word(message, 2);
  question.recursion_desired = (flags & recursion_desired) != 0;
  if ((flags & opcode) != 0) return answer(question, Code::NotImplemented);
  // One question, and of the rest at most what EDNS adds.
  if (word(message, 4) != 1 || word(message, 6) != 0 || word(message, 8) != 0) {
    return answer(question, Code::BadFormat);
  }
  const auto& cares = CaresLibrary::get();
  const auto* const bytes = reinterpret_cast<const unsigned char*>(message.data());
  char* name = nullptr;
  long name_bytes = 0;
  const int status =
      cares.expand_name(bytes + header_bytes, bytes, static_cast<int>(message.size()), &name, &name_bytes);
  if (status != ARES_SUCCESS) return answer(question, Code::BadFormat);
  question.name = name;
  cares.free_string(name);
  const auto end = header_bytes + static_cast<std::size_t>(name_bytes);
  if (name_bytes > longest_name || end + 4 > message.size() || is_compressed(message))
    return answer(question, Code::BadFormat);
  question.type = word(message, end);
  question.class_number = word(message, end + 2);
  question.section = message.substr(header_bytes, end + 4 - header_bytes);
  return question;
}

std::string answer(const Question& question, Code code) { return head(question, code, 0, 0); }

std::string answer(const Question& question, std::span<const Lookups::Address> addresses, std::size_t most_bytes) {
  const auto room = (most_bytes - header_bytes - question.section.size()) / address_bytes;
  const auto count = std::min(addresses.size(), room);
  auto bytes = head(question, Code::Ok, count < addresses.size() ? truncated : 0U, count);
  for (const auto& address : addresses.first(count)) {
    constexpr unsigned pointer_to_question = 0xC00C;
    put(bytes, pointer_to_question, 2);
    put(bytes, type_a, 2);
    put(bytes, class_internet, 2);
    put(bytes, static_cast<std::uint32_t>(address.ttl.count()), 4);
    put(bytes, sizeof(std::uint32_t), 2);
    put(bytes, address.address.bits(), 4);
  }
  return bytes;
}

std::string pass_on(const Question& question, std::string_view message, std::size_t most_bytes) {
  if (message.size() < header_bytes) return answer(question, Code::ServerFailed);
  if (message.size() > most_bytes) return head(question, Code::Ok, truncated, 0);
  std::string bytes;
  put(bytes, question.id, 2);
  return bytes + std::string{message.substr(2)};
}

}  // namespace fireclaw::gateway::dns
