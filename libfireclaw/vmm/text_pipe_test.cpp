#include "vmm/text_pipe.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sys/file.hpp"

namespace fireclaw::vmm {
namespace {

struct Fixture {
  sys::TempDir directory{"/tmp", "fireclaw-pipe"};
  std::filesystem::path path = directory.path() / "console.pipe";
};

TEST_CASE_FIXTURE(Fixture, "what the engine writes is there to be read, again and again") {
  const TextPipe pipe = TextPipe::create(path);
  const sys::Fd engine = pipe.engine_end();
  CHECK(pipe.tail(100).empty());
  sys::write_all(engine.get(), "hello ");
  CHECK(pipe.tail(100) == "hello ");
  sys::write_all(engine.get(), "world");
  CHECK(pipe.tail(100) == "hello world");
  CHECK(pipe.tail(5) == "world");
}

TEST_CASE_FIXTURE(Fixture, "a flood neither blocks the writer nor grows anything without bound") {
  const TextPipe pipe = TextPipe::create(path);
  const sys::Fd engine = pipe.engine_end();
  const std::string piece(4096, 'x');
  const auto flood = [&] {
    std::size_t written = 0;
    for (int i = 0; i < 1000; ++i) {
      const auto got = sys::write_some(engine.get(), std::as_bytes(std::span{piece}));
      if (got < 0) break;
      written += static_cast<std::size_t>(got);
    }
    return written;
  };
  CHECK(flood() < 1000 * piece.size());
  for (int i = 0; i < 20; ++i) {
    CHECK(pipe.tail(1 << 20).size() <= (256 << 10));
    CHECK(flood() > 0);
  }
  struct stat status {};
  CHECK(::stat(path.c_str(), &status) == 0);
  CHECK(status.st_blocks == 0);
}

TEST_CASE_FIXTURE(Fixture, "the text outlives the writer, and a writer needs no reader") {
  std::optional<TextPipe> pipe = TextPipe::create(path);
  std::optional<sys::Fd> engine = pipe->engine_end();
  sys::write_all(engine->get(), "last words");
  engine.reset();
  CHECK(pipe->tail(100) == "last words");

  engine = pipe->engine_end();
  pipe.reset();
  sys::write_all(engine->get(), "nobody listens");  // would raise SIGPIPE on a plain pipe
  const auto adopter = TextPipe::open(path);
  REQUIRE(adopter);
  CHECK(adopter->tail(100) == "nobody listens");
}

TEST_CASE_FIXTURE(Fixture, "a leftover is replaced, and only a pipe is opened as one") {
  sys::write_file_atomic(path, "an old file");
  CHECK_FALSE(TextPipe::open(path));
  const TextPipe pipe = TextPipe::create(path);
  CHECK(TextPipe::open(path));
  CHECK_FALSE(TextPipe::open(directory.path() / "missing"));
}

}  // namespace
}  // namespace fireclaw::vmm
