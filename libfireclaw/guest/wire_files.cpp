#include "guest/wire_files.hpp"

#include "guest/wire_coding.hpp"

namespace fireclaw::guest::wire {

using coding::Decoder;
using coding::Encoder;

namespace {

void put(Encoder& encoder, const FileStatus& status) {
  encoder.number(static_cast<std::uint8_t>(status.kind)).text(status.name).number(status.mode);
  encoder.number(status.uid).number(status.gid).number(status.size);
  encoder.number(status.mtime_s).number(status.mtime_ns).text(status.link);
}

void take(Decoder& decoder, FileStatus& status) {
  decoder.one_of(status.kind, FileKind::File, FileKind::Other).text(status.name).number(status.mode);
  decoder.number(status.uid).number(status.gid).number(status.size);
  decoder.number(status.mtime_s).number(status.mtime_ns).text(status.link);
}

}  // namespace

std::string encode(const FileCall& message) {
  Encoder encoder;
  encoder.number(static_cast<std::uint8_t>(message.verb)).text(message.path).text(message.user);
  encoder.flag(message.has_mode).number(message.mode).flag(message.append).flag(message.parents);
  encoder.flag(message.recursive).flag(message.follow);
  return encoder.number(message.offset).number(message.limit).number(message.size).take();
}

bool decode(std::string_view payload, FileCall& message) {
  Decoder decoder{payload};
  decoder.one_of(message.verb, FileVerb::Read, FileVerb::MakeDirectory).text(message.path).text(message.user);
  decoder.flag(message.has_mode).number(message.mode).flag(message.append).flag(message.parents);
  decoder.flag(message.recursive).flag(message.follow);
  return decoder.number(message.offset).number(message.limit).number(message.size).complete();
}

std::string encode(const FileStatus& message) {
  Encoder encoder;
  put(encoder, message);
  return encoder.take();
}

bool decode(std::string_view payload, FileStatus& message) {
  Decoder decoder{payload};
  take(decoder, message);
  return decoder.complete();
}

std::string encode(const FileAnswer& message) {
  Encoder encoder;
  encoder.number(message.error).text(message.message);
  put(encoder, message.status);
  return encoder.take();
}

bool decode(std::string_view payload, FileAnswer& message) {
  Decoder decoder{payload};
  decoder.number(message.error).text(message.message);
  take(decoder, message.status);
  return decoder.complete();
}

void append_listed(std::string& listing, const FileStatus& entry) { listing += Encoder{}.text(encode(entry)).take(); }

bool take_listed(std::string_view& listing, FileStatus& entry) {
  if (listing.size() < sizeof(std::uint32_t)) return false;
  const auto length = coding::load<std::uint32_t>(listing.data());
  listing.remove_prefix(sizeof(std::uint32_t));
  if (length > listing.size() || !decode(listing.substr(0, length), entry)) return false;
  listing.remove_prefix(length);
  return true;
}

}  // namespace fireclaw::guest::wire
