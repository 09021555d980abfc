#include "guest/wire/wire.hpp"

#include <algorithm>
#include <cstring>

#include "guest/wire/files.hpp"
#include "guest/wire/service.hpp"

namespace fireclaw::guest::wire {

using coding::load;
using coding::store;

namespace {

constexpr char magic_text[magic_bytes + 1] = "\xF1reclaw guest\r\n\xF1";
constexpr std::uint16_t frame_magic = 0x1AFC;

}  // namespace

std::uint32_t checksum(std::string_view bytes, std::uint32_t seed) noexcept {
  for (const char byte : bytes) seed = (seed ^ static_cast<unsigned char>(byte)) * 16777619U;
  return seed;
}

void put_header(char* out, const Header& header) noexcept {
  store(out, frame_magic);
  out[2] = static_cast<char>(header.type);
  out[3] = 0;
  store(out + 4, header.channel);
  store(out + 8, header.length);
  store(out + 12, header.check);
}

std::optional<Header> get_header(std::string_view bytes) noexcept {
  if (bytes.size() < header_bytes || load<std::uint16_t>(bytes.data()) != frame_magic || bytes[3] != 0) return {};
  const auto type = static_cast<std::uint8_t>(bytes[2]);
  if (!is_type(type)) return {};
  Header header;
  header.type = static_cast<Type>(type);
  header.channel = load<std::uint32_t>(bytes.data() + 4);
  header.length = load<std::uint32_t>(bytes.data() + 8);
  header.check = load<std::uint32_t>(bytes.data() + 12);
  if (header.length > max_payload_bytes) return {};
  return header;
}

void append_preamble(std::string& out, const Nonce& nonce, std::uint32_t repeatable, std::uint32_t version) {
  const std::size_t start = out.size();
  out.append(magic_text, magic_bytes);
  out.append(nonce.data(), nonce.size());
  char numbers[8];
  store(numbers, version);
  store(numbers + 4, repeatable);
  out.append(numbers, sizeof numbers);
  char check[4];
  store(check, checksum(std::string_view{out}.substr(start)));
  out.append(check, sizeof check);
}

void append_greeting(std::string& out, const Nonce& nonce) {
  out.append(magic_text, magic_bytes);
  out.append(nonce.data(), nonce.size());
}

std::string_view magic() noexcept { return {magic_text, magic_bytes}; }

std::optional<Preamble> get_preamble(std::string_view bytes) noexcept {
  if (bytes.size() < preamble_bytes || bytes.substr(0, magic_bytes) != magic()) return {};
  const char* numbers = bytes.data() + magic_bytes + nonce_bytes;
  if (load<std::uint32_t>(numbers + 8) != checksum(bytes.substr(0, preamble_bytes - 4))) return {};
  Preamble preamble;
  std::memcpy(preamble.nonce.data(), bytes.data() + magic_bytes, nonce_bytes);
  preamble.version = load<std::uint32_t>(numbers);
  preamble.repeatable = load<std::uint32_t>(numbers + 4);
  return preamble;
}

void append_frame(std::string& out, Seal seal, Type type, std::uint32_t channel, std::string_view payload) {
  char header[header_bytes];
  put_header(header, {type, channel, static_cast<std::uint32_t>(payload.size()), seal.check(type, payload)});
  out.append(header, header_bytes);
  out.append(payload);
}

bool append_request(std::string& out, Seal seal, Type type, std::uint32_t channel, std::string_view payload) {
  if (payload.size() > max_request_bytes) return false;
  while (payload.size() > max_payload_bytes) {
    append_frame(out, seal, Type::More, channel, payload.substr(0, max_payload_bytes));
    payload.remove_prefix(max_payload_bytes);
  }
  append_frame(out, seal, type, channel, payload);
  return true;
}

bool decode(std::string_view payload, Hello& message) {
  message = {};
  coding::Decoder decoder{payload};
  decoder(message.protocol);
  if (!decoder.ok()) return false;
  if (message.protocol != protocol_version) return true;
  decoder(message.guestd_version, message.kernel_release, message.uptime_ms);
  return decoder.complete() || decoder(message.features).complete();
}

bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool is_service_name(std::string_view name) noexcept {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  };
  return !name.empty() && name.size() <= max_service_name_bytes && name.front() != '.' && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), fits);
}

void append_listed(std::string& listing, const FileStatus& entry) {
  listing += coding::Encoder{}(encode(entry)).take();
}

bool take_listed(std::string_view& listing, FileStatus& entry) {
  if (listing.size() < sizeof(std::uint32_t)) return false;
  const auto length = coding::load<std::uint32_t>(listing.data());
  listing.remove_prefix(sizeof(std::uint32_t));
  if (length > listing.size() || !decode(listing.substr(0, length), entry)) return false;
  listing.remove_prefix(length);
  return true;
}

}  // namespace fireclaw::guest::wire
