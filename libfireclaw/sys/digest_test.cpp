#include "sys/digest.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

TEST_CASE("SHA-256 gives the standard's own examples") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a digest may be fed in pieces, moved, and used again") {
  Sha256 digest;
  digest.update("a");
  Sha256 moved = std::move(digest);
  moved.update("b");
  moved.update(std::as_bytes(std::span{std::string_view{"c"}}));
  CHECK(moved.hex() == sha256_hex("abc"));
  CHECK(moved.hex() == sha256_hex(""));
}

TEST_CASE("a file's digest counts its holes as zeros") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "sparse";
  {
    const Fd file = open_file(path, O_RDWR | O_CREAT);
    CHECK(::ftruncate(file.get(), 1'000'000) == 0);
    CHECK(::pwrite(file.get(), "x", 1, 500'000) == 1);
  }
  std::string same(1'000'000, '\0');
  same[500'000] = 'x';
  CHECK(sha256_file(path) == sha256_hex(same));
  CHECK(error_of([&] { sha256_file(folder.path() / "missing"); }).first == ErrorCode::NotFound);
}
