// What both ends of the guest protocol make of arbitrary bytes: messages, and the streams they come in.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "guest/wire/files.hpp"
#include "guest/wire/frames.hpp"
#include "guest/wire/service.hpp"
#include "guest/wire/wire.hpp"
#include "guest_input.hpp"

namespace {

using namespace fireclaw;
using namespace fireclaw::guest::wire;

template <typename Message>
void decode_and_encode(std::string_view payload) {
  Message message;
  if (!decode(payload, message)) return;
  const std::string again = encode(message);
  // A Hello of another version is read only as far as its number, and an older one ends before the features.
  if constexpr (std::is_same_v<Message, Hello>)
    if (message.protocol != protocol_version || again.size() > payload.size()) return;
  fuzz::require(again == payload);
}

void decode_all(std::string_view payload) {
  decode_and_encode<Hello>(payload);
  decode_and_encode<Configure>(payload);
  decode_and_encode<SetClock>(payload);
  decode_and_encode<Exec>(payload);
  decode_and_encode<ExecFailed>(payload);
  decode_and_encode<Started>(payload);
  decode_and_encode<Exit>(payload);
  decode_and_encode<Signal>(payload);
  decode_and_encode<Resize>(payload);
  decode_and_encode<Window>(payload);
  decode_and_encode<Put>(payload);
  decode_and_encode<Get>(payload);
  decode_and_encode<Watch>(payload);
  decode_and_encode<Entry>(payload);
  decode_and_encode<Hole>(payload);
  decode_and_encode<Skipped>(payload);
  decode_and_encode<Shutdown>(payload);
  decode_and_encode<Mount>(payload);
  decode_and_encode<Unmount>(payload);
  decode_and_encode<FileCall>(payload);
  decode_and_encode<FileStatus>(payload);
  decode_and_encode<FileAnswer>(payload);
  decode_and_encode<ServiceStart>(payload);
  decode_and_encode<ServiceSignal>(payload);
  decode_and_encode<ServiceStop>(payload);
  decode_and_encode<Services>(payload);
  decode_and_encode<StepTimes>(payload);
  decode_and_encode<Done>(payload);
}

/// The events of a stream, as text, when its bytes arrive `cut` at a time.
std::string read_as_guest(std::string_view bytes, std::size_t cut) {
  GuestReader reader;
  std::string events;
  for (;; bytes.remove_prefix(std::min(cut, bytes.size()))) {
    for (;;) {
      const GuestReader::Event event = reader.next();
      if (event.kind == GuestReader::Event::Kind::Starved) break;
      events += static_cast<char>('0' + static_cast<int>(event.kind));
      events += event.frame.payload;
    }
    if (bytes.empty()) return events;
    reader.input().append(bytes.substr(0, cut));
  }
}

/// A stream with sessions, frames, padding and rubbish in it.
std::string make_stream(fuzz::Script script) {
  std::string stream;
  Seal seal;
  while (!script.done()) {
    switch (script.byte() % 4) {
      case 0: {
        const Nonce nonce = fuzz::nonce_of(script.byte());
        append_preamble(stream, nonce, script.byte(), script.byte() % 8 == 7 ? protocol_version + 1 : protocol_version);
        seal = Seal{nonce};
        break;
      }
      case 1: script.append_frame(stream, seal); break;
      case 2: stream.append(script.byte(), '\0'); break;
      default: stream += script.bytes(); break;
    }
  }
  return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  decode_all(input);

  const std::string stream = make_stream(fuzz::Script{input});
  const std::string events = read_as_guest(stream, stream.size() + 1);
  fuzz::require(read_as_guest(stream, 1 + size % 61) == events);

  HostReader host{fuzz::nonce_of(1)};
  host.input().append(stream);
  while (host.next().kind == HostReader::Event::Kind::Frame) {
  }
  return 0;
}
