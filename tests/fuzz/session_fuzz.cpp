// The host's end of a session against a guest that answers whatever it likes: every call returns or throws an Error,
// and a copy writes nothing outside its target.
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "base/deadline.hpp"
#include "fireclaw/error.hpp"
#include "guest/session.hpp"
#include "guest/wire/frames.hpp"
#include "guest_input.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/socket.hpp"

namespace {

using namespace fireclaw;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

/// Answers the preamble, then says what the script wants, then hangs up.
void play_guest(sys::Fd stream, fuzz::Script script) try {
  guest::wire::GuestReader reader;
  guest::wire::GuestReader::Event event;
  while (event.kind != guest::wire::GuestReader::Event::Kind::Session) {
    char buffer[4096];
    const std::ptrdiff_t got = sys::read_some(stream.get(), std::as_writable_bytes(std::span{buffer}));
    if (got <= 0) return;
    reader.input().append({buffer, static_cast<std::size_t>(got)});
    event = reader.next();
  }
  std::string answer;
  if (script.byte() % 8 != 0) {
    guest::wire::append_greeting(answer, event.preamble.nonce);
    guest::wire::Hello hello;
    hello.features = guest::wire::feature_files;
    guest::wire::append_frame(answer, reader.seal(), guest::wire::Type::Hello, 0, guest::wire::encode(hello));
  }
  while (!script.done()) {
    if (script.byte() % 8 == 0)
      answer += script.bytes();
    else
      script.append_frame(answer, reader.seal());
  }
  sys::write_all(stream.get(), answer, Deadline::after(10s));
} catch (const Error&) {
  // The host has hung up.
}

template <typename Action>
void attempt(Action action) {
  try {
    action();
  } catch (const Error&) {
    // Any refusal will do.
  }
}

void run(std::string_view input) {
  static const sys::TempDir folder{fuzz::scratch_parent(), "fireclaw-session-fuzz-"};
  const fs::path target = folder.path() / "target";
  fs::create_directory(target);
  fuzz::Script script{input};
  const std::uint8_t use = script.byte();
  auto [host, guest_end] = sys::socket_pair();
  std::thread guest_thread{play_guest, std::move(guest_end), script};
  attempt([&, &stream = host] {
    guest::Session session = guest::Session::open(std::move(stream), {}, {}, Deadline::after(10s));
    switch (use % 10) {
      case 0: {
        ExecOptions options = ExecOptions::shell("true");
        options.input = "some input";
        options.timeout = 10s;
        session.exec(options);
        break;
      }
      case 1: session.copy_out("/some/tree", target, Deadline::after(10s)); break;
      case 2: session.read_file("/some/file", 1000, Deadline::after(10s)); break;
      case 3: session.write_file("/some/file", std::string(1000, 'x'), 0644, Deadline::after(10s)); break;
      case 4:
      case 5: session.services(Deadline::after(10s)); break;
      case 8: {
        FileOptions options;
        options.limit = 100;
        fuzz::require(session.read_file("/some/file", options).size() <= 100);
        break;
      }
      case 9: {
        FileOptions options;
        options.limit = 3;
        fuzz::require(session.list_directory("/some/folder", options).size() <= 3);
        break;
      }
      case 6: session.service_stop("some-service", 1s, Deadline::after(10s)); break;
      default: {
        ServiceOptions options;
        options.name = "some-service";
        options.argv = {"true"};
        session.service_start(options, Deadline::after(10s));
        break;
      }
    }
  });
  host = sys::Fd{-1};
  guest_thread.join();
  for (const fs::directory_entry& entry : fs::directory_iterator{folder.path()}) fuzz::require(entry.path() == target);
  sys::remove_tree(target);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  run({reinterpret_cast<const char*>(data), size});
  return 0;
}
