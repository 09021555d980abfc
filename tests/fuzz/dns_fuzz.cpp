// What a machine asks the gateway for a name, and what another server says to that: every answer is a whole message
// that fits, and nothing that is an answer is answered.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fuzz/require.hpp"
#include "gateway/names/dns_message.hpp"

namespace {

using namespace fireclaw::gateway;
using fireclaw::fuzz::require;

constexpr std::size_t header_bytes = 12;

void check_answer(std::string_view message, std::string_view answer, std::size_t most_bytes) {
  require(answer.size() >= header_bytes && answer.size() <= most_bytes, "an answer is a message that fits");
  require(answer.substr(0, 2) == message.substr(0, 2), "an answer has the question's number");
  require((static_cast<unsigned char>(answer[2]) & 0x80U) != 0, "an answer is marked as one");
  require(std::get<dns::NotAQuestion>(dns::read_question(answer)).empty(), "an answer is not answered");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view message{reinterpret_cast<const char*>(data), size};
  const auto read = dns::read_question(message);
  if (const auto* refusal = std::get_if<dns::NotAQuestion>(&read)) {
    if (!refusal->empty()) check_answer(message, *refusal, dns::most_udp_bytes);
    return 0;
  }
  const auto& question = std::get<dns::Question>(read);
  require(message.substr(header_bytes).starts_with(question.section), "the question comes back as it was asked");
  check_answer(message, dns::answer(question, dns::Code::NoName), dns::most_udp_bytes);
  const std::vector<Lookups::Address> addresses(
      100, {fireclaw::net::Ipv4Address::parse("1.2.3.4"), std::chrono::seconds{60}});
  check_answer(message, dns::answer(question, addresses, dns::most_udp_bytes), dns::most_udp_bytes);
  // The rest of the message stands for what another server says.
  const auto other = message.substr(header_bytes + question.section.size());
  const auto passed = dns::pass_on(question, other, dns::most_udp_bytes);
  require(passed.size() >= header_bytes && passed.size() <= dns::most_udp_bytes, "what is passed on fits");
  require(passed.substr(0, 2) == message.substr(0, 2), "what is passed on has the question's number");
  return 0;
}
