#include "guest/wire_service.hpp"

#include <algorithm>

#include "guest/wire_coding.hpp"

namespace fireclaw::guest::wire {

using coding::Decoder;
using coding::Encoder;

bool is_service_name(std::string_view name) noexcept {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  };
  return !name.empty() && name.size() <= max_service_name_bytes && name.front() != '.' && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), fits);
}

std::string encode(const ServiceStart& message) {
  Encoder encoder;
  encoder.text(message.name).number(static_cast<std::uint32_t>(message.argv.size()));
  for (const std::string& argument : message.argv) encoder.text(argument);
  encoder.number(static_cast<std::uint32_t>(message.env.size()));
  for (const auto& [name, value] : message.env) encoder.text(name).text(value);
  encoder.text(message.cwd).text(message.user).text(message.log).number(message.log_limit);
  encoder.number(static_cast<std::uint8_t>(message.restart));
  return encoder.number(message.backoff_first_ms).number(message.backoff_longest_ms).take();
}

bool decode(std::string_view payload, ServiceStart& message) {
  message = {};
  Decoder decoder{payload};
  decoder.text(message.name);
  message.argv.resize(decoder.count(4));
  for (std::string& argument : message.argv) decoder.text(argument);
  message.env.resize(decoder.count(8));
  for (auto& [name, value] : message.env) decoder.text(name).text(value);
  decoder.text(message.cwd).text(message.user).text(message.log).number(message.log_limit);
  decoder.one_of(message.restart, Restart::Never, Restart::Always);
  decoder.number(message.backoff_first_ms).number(message.backoff_longest_ms);
  return decoder.complete() && !message.argv.empty();
}

std::string encode(const ServiceSignal& message) { return Encoder{}.text(message.name).number(message.number).take(); }

bool decode(std::string_view payload, ServiceSignal& message) {
  return Decoder{payload}.text(message.name).number(message.number).complete();
}

std::string encode(const ServiceStop& message) { return Encoder{}.text(message.name).number(message.grace_ms).take(); }

bool decode(std::string_view payload, ServiceStop& message) {
  return Decoder{payload}.text(message.name).number(message.grace_ms).complete();
}

std::string encode(const Services& message) {
  Encoder encoder;
  encoder.number(message.now_ms).number(static_cast<std::uint32_t>(message.list.size()));
  for (const ServiceStatus& status : message.list) {
    encoder.text(status.name).number(static_cast<std::uint8_t>(status.state)).number(status.pid);
    encoder.number(status.restarts).number(status.code).number(status.signal).number(status.started_ms);
    encoder.text(status.problem);
  }
  return encoder.take();
}

bool decode(std::string_view payload, Services& message) {
  // Two texts, a byte, four 32-bit numbers and one of 64 bits.
  constexpr std::size_t least = 2 * 4 + 1 + 4 * 4 + 8;
  message = {};
  Decoder decoder{payload};
  decoder.number(message.now_ms);
  message.list.resize(decoder.count(least));
  for (ServiceStatus& status : message.list) {
    decoder.text(status.name).one_of(status.state, ServiceState::Running, ServiceState::Failed).number(status.pid);
    decoder.number(status.restarts).number(status.code).number(status.signal).number(status.started_ms);
    decoder.text(status.problem);
  }
  return decoder.complete();
}

}  // namespace fireclaw::guest::wire
