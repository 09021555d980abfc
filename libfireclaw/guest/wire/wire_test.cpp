#include "guest/wire/wire.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "guest/testing/round_trip.hpp"

namespace fireclaw::guest::wire {
namespace {

Nonce nonce_of(char byte) {
  Nonce nonce{};
  nonce.fill(byte);
  return nonce;
}

Configure some_configure() {
  Configure message;
  message.hostname = "clone-7";
  message.machine_id = "0123456789abcdef0123456789abcdef";
  message.entropy = std::string(64, '\xEE');
  message.time_ns = -1234567890123;
  message.has_interface = true;
  message.interface = "eth0";
  message.address = "172.16.0.5/24";
  message.gateway = "172.16.0.1";
  message.mac = "02:fc:00:00:00:05";
  message.nameservers = {"172.16.0.1", "::1"};
  return message;
}

Exec some_exec() {
  Exec message;
  message.argv = {"/bin/sh", "-c", std::string{"a\0b", 3}, ""};
  message.env = {{"A", "1"}, {"", ""}};
  message.cwd = "/x";
  message.user = "nobody";
  message.tty = true;
  message.has_stdin = true;
  message.rows = 65535;
  message.columns = 1;
  return message;
}

TEST_CASE("every message comes back as it was sent") {
  const Configure configure = round_trip(some_configure());
  CHECK(configure.hostname == "clone-7");
  CHECK(configure.time_ns == -1234567890123);
  CHECK(configure.has_interface);
  CHECK(configure.nameservers == some_configure().nameservers);

  const Exec exec = round_trip(some_exec());
  CHECK(exec.argv == some_exec().argv);
  CHECK(exec.env == some_exec().env);
  CHECK(exec.tty);
  CHECK(exec.has_stdin);
  CHECK(exec.rows == 65535);

  ExecFailed failed;
  failed.reason = ExecFailure::NotExecutable;
  failed.error = 13;
  failed.message = "permission denied";
  CHECK(round_trip(failed).reason == ExecFailure::NotExecutable);
  Started started;
  started.pid = 0xFFFFFFFF;
  CHECK(round_trip(started).pid == 0xFFFFFFFF);
  Exit exit;
  exit.code = 137;
  exit.signal = 9;
  CHECK(round_trip(exit).code == 137);
  Signal signal;
  signal.number = 15;
  CHECK(round_trip(signal).number == 15);
  Resize resize;
  resize.rows = 50;
  resize.columns = 132;
  CHECK(round_trip(resize).columns == 132);
  Window window;
  window.bytes = 65536;
  CHECK(round_trip(window).bytes == 65536);
  Put put;
  put.target = "/tmp";
  put.name = "x";
  put.exact = true;
  CHECK(round_trip(put).exact);
  Get get;
  get.source = "/etc";
  get.follow = true;
  CHECK(round_trip(get).follow);
  Entry entry;
  entry.kind = EntryKind::Link;
  entry.name = "a";
  entry.mode = 07777;
  entry.mtime_s = -1;
  entry.mtime_ns = 999999999;
  entry.size = 1ULL << 40;
  entry.link = "../b";
  CHECK(round_trip(entry).mtime_s == -1);
  Shutdown shutdown;
  shutdown.grace_ms = 5000;
  CHECK(round_trip(shutdown).grace_ms == 5000);
  SetClock clock;
  clock.time_ns = 1LL << 60;
  CHECK(round_trip(clock).time_ns == 1LL << 60);
  Done done;
  done.error = 2;
  done.message = "no such file";
  CHECK(round_trip(done).message == "no such file");
  Hello hello;
  hello.guestd_version = "0.1.0";
  hello.kernel_release = "6.1.0";
  hello.uptime_ms = 1234;
  Hello said;
  REQUIRE(decode(encode(hello), said));
  CHECK(said.uptime_ms == 1234);
  CHECK_FALSE(decode(encode(hello) + '\0', said));
}

TEST_CASE("times of steps are told as they were") {
  StepTimes times;
  times.list = {{"greeting", 5}, {"start", 70000}};
  const StepTimes told = round_trip(times);
  REQUIRE(told.list.size() == 2);
  CHECK(told.list[1].name == "start");
  CHECK(told.list[1].ns == 70000);
}

TEST_CASE("a hello without features, as the first guestd of this version says it, has none") {
  Hello hello;
  hello.uptime_ms = 1234;
  hello.features = feature_files;
  const std::string payload = encode(hello);
  Hello result;
  REQUIRE(decode(payload, result));
  CHECK(result.features == feature_files);
  REQUIRE(decode(payload.substr(0, payload.size() - 4), result));
  CHECK(result.uptime_ms == 1234);
  CHECK(result.features == 0);
  CHECK_FALSE(decode(payload.substr(0, payload.size() - 1), result));
}

TEST_CASE("the bytes of a message are fixed: little endian, lengths before texts") {
  Done done;
  done.error = 0x01020304;
  done.message = "no";
  CHECK(encode(done) == std::string("\x04\x03\x02\x01\x02\x00\x00\x00no", 10));
  std::string frame;
  append_frame(frame, Seal{}, Type::Stdout, 0x0A0B0C0D, "hi");
  CHECK(frame == std::string("\xFC\x1A\x43\x00\x0D\x0C\x0B\x0A\x02\x00\x00\x00\x00\x00\x00\x00hi", 18));
}

TEST_CASE("a hello of another version still gives that version") {
  Hello hello;
  hello.protocol = protocol_version + 1;
  std::string payload = encode(hello) + "whatever comes with it";
  Hello result;
  REQUIRE(decode(payload, result));
  CHECK(result.protocol == protocol_version + 1);
  CHECK(result.guestd_version.empty());
}

TEST_CASE("counts and lengths beyond the payload are refused without reserving memory for them") {
  Exec exec;
  CHECK_FALSE(decode(std::string("\xFF\xFF\xFF\x7F", 4) + std::string(64, '\0'), exec));
  CHECK_FALSE(decode(std::string("\x01\x00\x00\x00\xFF\xFF\xFF\xFF", 8) + std::string(64, '\0'), exec));
  Configure configure = some_configure();
  std::string payload = encode(configure);
  const std::size_t count_at = payload.size() - (4 + 10) - (4 + 3) - 4;
  payload[count_at + 3] = '\x7F';
  CHECK_FALSE(decode(payload, configure));
}

TEST_CASE("values outside an enumeration or a flag are refused") {
  Entry entry;
  std::string payload = encode(entry);
  for (const char kind : {'\0', '\4', '\xFF'}) {
    payload[0] = kind;
    CHECK_FALSE(decode(payload, entry));
  }
  Get get;
  payload = encode(get);
  payload.back() = '\2';
  CHECK_FALSE(decode(payload, get));
  CHECK_FALSE(is_type(0));
  CHECK_FALSE(is_type(200));
}

TEST_CASE("an exec without a program is refused") {
  Exec exec = some_exec();
  exec.argv.clear();
  const std::string payload = encode(exec);
  CHECK_FALSE(decode(payload, exec));
}

TEST_CASE("headers are judged by magic, type, padding and length") {
  char bytes[header_bytes];
  put_header(bytes, {Type::Data, 7, max_payload_bytes, 99});
  const std::optional<Header> header = get_header({bytes, header_bytes});
  REQUIRE(header);
  CHECK(header->channel == 7);
  CHECK(header->length == max_payload_bytes);
  CHECK(header->check == 99);
  CHECK_FALSE(get_header({bytes, header_bytes - 1}));
  put_header(bytes, {Type::Data, 7, max_payload_bytes + 1, 0});
  CHECK_FALSE(get_header({bytes, header_bytes}));
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    put_header(bytes, {Type::Data, 7, 1, 0});
    bytes[at] = '\xAA';
    CHECK_FALSE(get_header({bytes, header_bytes}));
  }
}

TEST_CASE("a preamble is recognised, and no bit of it may be wrong") {
  std::string bytes;
  append_preamble(bytes, nonce_of('n'), 1234);
  REQUIRE(bytes.size() == preamble_bytes);
  const std::optional<Preamble> preamble = get_preamble(bytes);
  REQUIRE(preamble);
  CHECK(preamble->nonce == nonce_of('n'));
  CHECK(preamble->version == protocol_version);
  CHECK(preamble->repeatable == 1234);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string wrong = bytes;
    wrong[bit / 8] = static_cast<char>(wrong[bit / 8] ^ (1 << (bit % 8)));
    CHECK_FALSE(get_preamble(wrong));
  }
}

TEST_CASE("a request of any length is sent in frames and limited as a whole") {
  std::string out;
  CHECK(append_request(out, Seal{}, Type::Exec, 1, std::string(max_payload_bytes, 'x')));
  CHECK(out.size() == header_bytes + max_payload_bytes);
  out.clear();
  CHECK(append_request(out, Seal{}, Type::Exec, 1, std::string(max_payload_bytes + 1, 'x')));
  CHECK(out.size() == 2 * header_bytes + max_payload_bytes + 1);
  CHECK(get_header(out)->type == Type::More);
  out.clear();
  CHECK_FALSE(append_request(out, Seal{}, Type::Exec, 1, std::string(max_request_bytes + 1, 'x')));
  CHECK(out.empty());
}

TEST_CASE("a window pays for whole frames") {
  CHECK(affordable(0) == 0);
  CHECK(affordable(header_bytes) == 0);
  CHECK(affordable(header_bytes + 1) == 1);
  CHECK(affordable(window_bytes) == max_payload_bytes);
  CHECK(cost(0) == header_bytes);
}

TEST_CASE("only a plain name can become a directory entry") {
  for (const std::string_view name : {"a", "...", "-rf", " ", "\xFF", "a b", "..a"}) CHECK(is_plain_name(name));
  for (const std::string& name :
       {std::string{}, std::string{"."}, std::string{".."}, std::string{"/"}, std::string{"a/b"}, std::string{"/etc"},
        std::string{"a\0b", 3}, std::string(256, 'x')})
    CHECK_FALSE(is_plain_name(name));
}

}  // namespace
}  // namespace fireclaw::guest::wire
