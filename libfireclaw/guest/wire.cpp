#include "guest/wire.hpp"

#include <cstring>

#include "guest/wire_coding.hpp"

namespace fireclaw::guest::wire {

using coding::Decoder;
using coding::Encoder;
using coding::load;
using coding::store;

namespace {

constexpr char magic_text[magic_bytes + 1] = "\xF1reclaw guest\r\n\xF1";
constexpr std::uint16_t frame_magic = 0x1AFC;

}  // namespace

bool is_type(std::uint8_t value) noexcept {
  switch (static_cast<Type>(value)) {
    case Type::Window:
    case Type::Data:
    case Type::Entry:
    case Type::Leave:
    case Type::More:
    case Type::Hole:
    case Type::Configure:
    case Type::SetClock:
    case Type::Exec:
    case Type::Stdin:
    case Type::StdinEnd:
    case Type::Signal:
    case Type::Resize:
    case Type::Put:
    case Type::PutEnd:
    case Type::Get:
    case Type::Ping:
    case Type::PrepareSnapshot:
    case Type::Shutdown:
    case Type::Close:
    case Type::ServiceStart:
    case Type::ServiceSignal:
    case Type::ServiceStop:
    case Type::ServiceList:
    case Type::Steps:
    case Type::Mount:
    case Type::Unmount:
    case Type::Watch:
    case Type::FileCall:
    case Type::Hello:
    case Type::Started:
    case Type::ExecFailed:
    case Type::Stdout:
    case Type::Stderr:
    case Type::StdinClosed:
    case Type::Exit:
    case Type::Done:
    case Type::Services:
    case Type::Skipped:
    case Type::StepTimes: return true;
  }
  return false;
}

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

std::string encode(const Hello& message) {
  return Encoder{}
      .number(message.protocol)
      .text(message.guestd_version)
      .text(message.kernel_release)
      .number(message.uptime_ms)
      .number(message.features)
      .take();
}

bool decode(std::string_view payload, Hello& message) {
  message = {};
  Decoder decoder{payload};
  decoder.number(message.protocol);
  if (!decoder.ok()) return false;
  if (message.protocol != protocol_version) return true;
  decoder.text(message.guestd_version).text(message.kernel_release).number(message.uptime_ms);
  return decoder.complete() || decoder.number(message.features).complete();
}

std::string encode(const Configure& message) {
  Encoder encoder;
  encoder.text(message.hostname).text(message.machine_id).text(message.entropy).number(message.time_ns);
  encoder.flag(message.has_interface).text(message.interface).text(message.address).text(message.gateway);
  encoder.text(message.mac).number(static_cast<std::uint32_t>(message.nameservers.size()));
  for (const std::string& server : message.nameservers) encoder.text(server);
  return encoder.take();
}

bool decode(std::string_view payload, Configure& message) {
  message = {};
  Decoder decoder{payload};
  decoder.text(message.hostname).text(message.machine_id).text(message.entropy).number(message.time_ns);
  decoder.flag(message.has_interface).text(message.interface).text(message.address).text(message.gateway);
  decoder.text(message.mac);
  message.nameservers.resize(decoder.count(4));
  for (std::string& server : message.nameservers) decoder.text(server);
  return decoder.complete();
}

std::string encode(const SetClock& message) { return Encoder{}.number(message.time_ns).take(); }

bool decode(std::string_view payload, SetClock& message) { return Decoder{payload}.number(message.time_ns).complete(); }

std::string encode(const Exec& message) {
  Encoder encoder;
  encoder.number(static_cast<std::uint32_t>(message.argv.size()));
  for (const std::string& argument : message.argv) encoder.text(argument);
  encoder.number(static_cast<std::uint32_t>(message.env.size()));
  for (const auto& [name, value] : message.env) encoder.text(name).text(value);
  encoder.text(message.cwd).text(message.user).flag(message.tty).flag(message.has_stdin);
  return encoder.number(message.rows).number(message.columns).take();
}

bool decode(std::string_view payload, Exec& message) {
  message = {};
  Decoder decoder{payload};
  message.argv.resize(decoder.count(4));
  for (std::string& argument : message.argv) decoder.text(argument);
  message.env.resize(decoder.count(8));
  for (auto& [name, value] : message.env) decoder.text(name).text(value);
  decoder.text(message.cwd).text(message.user).flag(message.tty).flag(message.has_stdin);
  return decoder.number(message.rows).number(message.columns).complete() && !message.argv.empty();
}

std::string encode(const ExecFailed& message) {
  return Encoder{}.number(static_cast<std::uint8_t>(message.reason)).number(message.error).text(message.message).take();
}

bool decode(std::string_view payload, ExecFailed& message) {
  return Decoder{payload}
      .one_of(message.reason, ExecFailure::NotFound, ExecFailure::BadRequest)
      .number(message.error)
      .text(message.message)
      .complete();
}

std::string encode(const Started& message) { return Encoder{}.number(message.pid).take(); }

bool decode(std::string_view payload, Started& message) { return Decoder{payload}.number(message.pid).complete(); }

std::string encode(const Exit& message) { return Encoder{}.number(message.code).number(message.signal).take(); }

bool decode(std::string_view payload, Exit& message) {
  return Decoder{payload}.number(message.code).number(message.signal).complete();
}

std::string encode(const Signal& message) { return Encoder{}.number(message.number).take(); }

bool decode(std::string_view payload, Signal& message) { return Decoder{payload}.number(message.number).complete(); }

std::string encode(const Resize& message) { return Encoder{}.number(message.rows).number(message.columns).take(); }

bool decode(std::string_view payload, Resize& message) {
  return Decoder{payload}.number(message.rows).number(message.columns).complete();
}

std::string encode(const Window& message) { return Encoder{}.number(message.bytes).take(); }

bool decode(std::string_view payload, Window& message) { return Decoder{payload}.number(message.bytes).complete(); }

std::string encode(const Put& message) {
  return Encoder{}.text(message.target).text(message.name).flag(message.exact).text(message.owner).take();
}

bool decode(std::string_view payload, Put& message) {
  return Decoder{payload}.text(message.target).text(message.name).flag(message.exact).text(message.owner).complete();
}

std::string encode(const Get& message) { return Encoder{}.text(message.source).flag(message.follow).take(); }

bool decode(std::string_view payload, Get& message) {
  return Decoder{payload}.text(message.source).flag(message.follow).complete();
}

std::string encode(const Watch& message) { return Encoder{}.text(message.path).take(); }

bool decode(std::string_view payload, Watch& message) { return Decoder{payload}.text(message.path).complete(); }

std::string encode(const Entry& message) {
  return Encoder{}
      .number(static_cast<std::uint8_t>(message.kind))
      .text(message.name)
      .number(message.mode)
      .number(message.mtime_s)
      .number(message.mtime_ns)
      .number(message.size)
      .number(message.allocated)
      .text(message.link)
      .take();
}

bool decode(std::string_view payload, Entry& message) {
  return Decoder{payload}
      .one_of(message.kind, EntryKind::File, EntryKind::Link)
      .text(message.name)
      .number(message.mode)
      .number(message.mtime_s)
      .number(message.mtime_ns)
      .number(message.size)
      .number(message.allocated)
      .text(message.link)
      .complete();
}

std::string encode(const Hole& message) { return Encoder{}.number(message.bytes).take(); }

bool decode(std::string_view payload, Hole& message) { return Decoder{payload}.number(message.bytes).complete(); }

std::string encode(const Skipped& message) { return Encoder{}.number(message.count).take(); }

bool decode(std::string_view payload, Skipped& message) { return Decoder{payload}.number(message.count).complete(); }

std::string encode(const Shutdown& message) { return Encoder{}.number(message.grace_ms).take(); }

bool decode(std::string_view payload, Shutdown& message) {
  return Decoder{payload}.number(message.grace_ms).complete();
}

std::string encode(const Mount& message) {
  return Encoder{}
      .text(message.device)
      .text(message.target)
      .text(message.type)
      .flag(message.read_only)
      .text(message.options)
      .take();
}

bool decode(std::string_view payload, Mount& message) {
  return Decoder{payload}
      .text(message.device)
      .text(message.target)
      .text(message.type)
      .flag(message.read_only)
      .text(message.options)
      .complete();
}

std::string encode(const Unmount& message) { return Encoder{}.text(message.target).take(); }

bool decode(std::string_view payload, Unmount& message) { return Decoder{payload}.text(message.target).complete(); }

std::string encode(const StepTimes& message) {
  Encoder encoder;
  encoder.number(static_cast<std::uint32_t>(message.list.size()));
  for (const Step& step : message.list) encoder.text(step.name).number(step.ns);
  return encoder.take();
}

bool decode(std::string_view payload, StepTimes& message) {
  message = {};
  Decoder decoder{payload};
  message.list.resize(decoder.count(4 + 8));
  bool fits = message.list.size() <= max_steps;
  for (Step& step : message.list) {
    decoder.text(step.name).number(step.ns);
    fits = fits && step.name.size() <= max_step_name_bytes;
  }
  return decoder.complete() && fits;
}

std::string encode(const Done& message) { return Encoder{}.number(message.error).text(message.message).take(); }

bool decode(std::string_view payload, Done& message) {
  return Decoder{payload}.number(message.error).text(message.message).complete();
}

bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

}  // namespace fireclaw::guest::wire
