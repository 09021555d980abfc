#include "guest/wire/files.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "guest/testing/round_trip.hpp"

namespace fireclaw::guest::wire {
namespace {

FileStatus some_status() {
  FileStatus status;
  status.kind = FileKind::Link;
  status.name = "odd\nname\xFF";
  status.mode = 0777;
  status.uid = 1000;
  status.gid = 4'000'000'000;
  status.size = 0x0102030405060708;
  status.mtime_s = -1;
  status.mtime_ns = 999'999'999;
  status.link = "../x";
  return status;
}

TEST_CASE("messages about files arrive as they were sent, and only whole") {
  FileCall call;
  call.verb = FileVerb::Write;
  call.path = "/a b";
  call.user = "1000:1000";
  call.has_mode = call.append = true;
  call.mode = 04755;
  call.size = 1ULL << 40;
  const FileCall sent = round_trip(call);
  CHECK(sent.verb == FileVerb::Write);
  CHECK(sent.path == "/a b");
  CHECK(sent.mode == 04755);
  CHECK((sent.has_mode && sent.append && !sent.parents && !sent.recursive && !sent.follow));
  CHECK(sent.size == 1ULL << 40);

  const FileAnswer answer = round_trip(FileAnswer{2, "cannot open", some_status()});
  CHECK(answer.error == 2);
  CHECK(answer.message == "cannot open");
  CHECK(answer.status.name == some_status().name);
  CHECK(answer.status.gid == some_status().gid);
  CHECK(answer.status.mtime_s == -1);
  CHECK(answer.status.link == "../x");
}

TEST_CASE("a listing is taken apart into its entries, and a torn one is noticed") {
  std::string listing;
  append_listed(listing, some_status());
  FileStatus second;
  second.name = "second";
  append_listed(listing, second);
  std::string_view rest = listing;
  FileStatus entry;
  REQUIRE(take_listed(rest, entry));
  CHECK(entry.name == some_status().name);
  REQUIRE(take_listed(rest, entry));
  CHECK(entry.name == "second");
  CHECK(rest.empty());
  const std::size_t first = sizeof(std::uint32_t) + encode(some_status()).size();
  for (std::size_t length = 1; length < listing.size(); ++length) {
    std::string_view torn = std::string_view{listing}.substr(0, length);
    bool sound = true;
    while (sound && !torn.empty()) sound = take_listed(torn, entry);
    CHECK(sound == (length == first));
  }
}

}  // namespace
}  // namespace fireclaw::guest::wire
