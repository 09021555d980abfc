#include "guest/wire/frames.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

namespace fireclaw::guest::wire {
namespace {

using Kind = GuestReader::Event::Kind;

Nonce nonce_of(char byte) {
  Nonce nonce{};
  nonce.fill(byte);
  return nonce;
}

/// What a host sends to begin a session, with `requests` pings in it.
std::string opening(char nonce, std::uint32_t requests = 0) {
  std::string frames;
  for (std::uint32_t channel = 1; channel <= requests; ++channel)
    append_frame(frames, Seal{nonce_of(nonce)}, Type::Ping, channel);
  std::string bytes;
  append_preamble(bytes, nonce_of(nonce), static_cast<std::uint32_t>(frames.size()));
  return bytes + frames;
}

std::string data_frame(char nonce, std::string_view payload) {
  std::string bytes;
  append_frame(bytes, Seal{nonce_of(nonce)}, Type::Data, 1, payload);
  return bytes;
}

/// The events as text: "S<nonce>", "F<channel>", "B".
std::string events_of(GuestReader& reader) {
  std::string text;
  for (;;) {
    const GuestReader::Event event = reader.next();
    switch (event.kind) {
      case Kind::Starved: return text;
      case Kind::Session: text += std::string{"S"} + event.preamble.nonce.front() + ' '; break;
      case Kind::Frame: text += "F" + std::to_string(event.frame.channel) + ' '; break;
      case Kind::Broken: text += "B "; break;
    }
  }
}

std::string read_all(GuestReader& reader, std::string_view bytes) {
  reader.input().append(bytes);
  return events_of(reader);
}

TEST_CASE("a session begins with its preamble and continues in frames") {
  GuestReader reader;
  CHECK(read_all(reader, opening('a', 2)) == "Sa F1 F2 ");
}

TEST_CASE("however the bytes are cut, the events are the same") {
  const std::string bytes = "rubbish" + opening('a', 2) + data_frame('a', "x") + std::string(9, '\0') + opening('b', 1);
  GuestReader whole;
  const std::string expected = read_all(whole, bytes);
  CHECK(expected == "Sa F1 F2 F1 Sb F1 ");
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    GuestReader reader;
    std::string events;
    for (std::size_t at = 0; at < bytes.size(); at += cut)
      events += read_all(reader, std::string_view{bytes}.substr(at, cut));
    CHECK(events == expected);
  }
}

TEST_CASE("what was left over by others is skipped up to the preamble") {
  GuestReader reader;
  CHECK(read_all(reader, data_frame('z', "old") + std::string(1000, 'x') + std::string{magic()}).empty());
  CHECK(read_all(reader, std::string{magic().substr(0, 7)} + opening('a', 1)) == "Sa F1 ");
}

TEST_CASE("a preamble is taken at any frame boundary and ends the session before") {
  GuestReader reader;
  CHECK(read_all(reader, opening('a') + data_frame('a', "x") + opening('b') + data_frame('b', "y")) == "Sa F1 Sb F1 ");
}

TEST_CASE("frames are of one session only") {
  GuestReader reader;
  CHECK(read_all(reader, opening('a') + data_frame('b', "x")) == "Sa B ");
  // As if nothing had been: the next preamble counts, also with the same nonce.
  CHECK(read_all(reader, opening('a', 1)) == "Sa F1 ");
}

TEST_CASE("a changed payload of a request is noticed") {
  Exec exec;
  exec.argv = {"rm", "-rf", "/tmp/x"};
  std::string frame;
  append_frame(frame, Seal{nonce_of('a')}, Type::Exec, 1, encode(exec));
  for (std::size_t at = header_bytes; at < frame.size(); ++at) {
    std::string wrong = frame;
    wrong[at] = static_cast<char>(wrong[at] ^ 0x20);
    GuestReader reader;
    CHECK(read_all(reader, opening('a') + wrong) == "Sa B ");
  }
}

TEST_CASE("padding completes a frame left unfinished by a host that died, whatever was missing") {
  const std::string frame = data_frame('a', std::string(max_payload_bytes, 'd'));
  for (const std::size_t written :
       {std::size_t{1}, std::size_t{2}, std::size_t{8}, header_bytes - 1, header_bytes, header_bytes + 1,
        header_bytes + max_payload_bytes / 2, frame.size() - 1, frame.size()}) {
    CAPTURE(written);
    GuestReader reader;
    std::string events = read_all(reader, opening('a') + frame.substr(0, written));
    // The first greeting may be swallowed; the second, behind the padding, is not.
    events += read_all(reader, opening('b', 1));
    if (events.find("Sb") == std::string::npos)
      events += read_all(reader, std::string(resync_bytes, '\0') + opening('b', 1));
    CHECK(events.ends_with("Sb F1 "));
  }
}

TEST_CASE("padding completes a preamble left unfinished") {
  const std::string first = opening('a');
  for (std::size_t written = 1; written < first.size(); ++written) {
    GuestReader reader;
    CHECK(read_all(reader, first.substr(0, written) + std::string(resync_bytes, '\0') + opening('b', 1))
              .ends_with("Sb F1 "));
  }
}

TEST_CASE("a repeated greeting of the session that is open runs nothing twice") {
  GuestReader reader;
  CHECK(read_all(reader, opening('a', 3)) == "Sa F1 F2 F3 ");
  CHECK(read_all(reader, std::string(resync_bytes, '\0') + opening('a', 3)).empty());
  std::string more;
  append_frame(more, Seal{nonce_of('a')}, Type::Ping, 4);
  CHECK(read_all(reader, more) == "F4 ");
}

TEST_CASE("a frame that could be a command of a swallowed preamble is not taken for one of the old session") {
  // All of the preamble, to the byte, is what was missing of the old frame.
  const std::string frame = data_frame('a', std::string(preamble_bytes, 'd'));
  GuestReader reader;
  std::string events = read_all(reader, opening('a') + frame.substr(0, header_bytes));
  events += read_all(reader, opening('b', 1));
  CHECK(events == "Sa F1 B ");
}

TEST_CASE("after its stream was cut a reader begins again") {
  GuestReader reader;
  CHECK(read_all(reader, opening('a') + data_frame('a', "x").substr(0, 10)) == "Sa ");
  reader.reset();
  CHECK(read_all(reader, opening('a', 1)) == "Sa F1 ");
  // The cut took away what a repeated greeting has announced.
  CHECK(read_all(reader, opening('a', 3).substr(0, preamble_bytes)).empty());
  reader.reset();
  CHECK(read_all(reader, opening('b', 1)) == "Sb F1 ");
}

TEST_CASE("the host skips everything up to the greeting with its own nonce") {
  std::string bytes = data_frame('z', "stale output");
  append_greeting(bytes, nonce_of('y'));
  append_frame(bytes, Seal{nonce_of('y')}, Type::Hello, 0, encode(Hello{}));
  bytes += std::string(100000, 'x');
  append_greeting(bytes, nonce_of('a'));
  append_frame(bytes, Seal{nonce_of('a')}, Type::Hello, 0, encode(Hello{}));
  for (const std::size_t cut : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, bytes.size()}) {
    HostReader reader{nonce_of('a')};
    std::vector<Type> types;
    for (std::size_t at = 0; at < bytes.size(); at += cut) {
      reader.input().append(std::string_view{bytes}.substr(at, cut));
      for (HostReader::Event event = reader.next(); event.kind == HostReader::Event::Kind::Frame; event = reader.next())
        types.push_back(event.frame.type);
    }
    CHECK(types == std::vector<Type>{Type::Hello});
  }
}

TEST_CASE("the host stops at the first frame that makes no sense") {
  HostReader reader{nonce_of('a')};
  std::string bytes;
  append_greeting(bytes, nonce_of('a'));
  bytes += "this is no frame at all, is it?";
  bytes += data_frame('a', "never seen");
  reader.input().append(bytes);
  CHECK(reader.next().kind == HostReader::Event::Kind::Broken);
  CHECK(reader.next().kind == HostReader::Event::Kind::Broken);
}

TEST_CASE("a queue of bytes keeps its content however it is filled and emptied") {
  ByteQueue queue;
  std::string model;
  std::mt19937 random{1};
  unsigned next = 0;
  for (int step = 0; step < 20000; ++step) {
    std::string added(random() % 50, '\0');
    for (char& byte : added) byte = static_cast<char>(next++);
    queue.append(added);
    model += added;
    const std::size_t taken = random() % (model.size() + 1);
    queue.consume(taken);
    model.erase(0, taken);
    if (queue.view() != model) FAIL("the content differs at step ", step);
  }
}

}  // namespace
}  // namespace fireclaw::guest::wire
