#include <doctest/doctest.h>

#include "image/testing/craft.hpp"
#include "image/testing/workshop.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::Helper;
using image::testing::Workshop;

TEST_CASE("a disk that fills up while an image is built is named as the reason, and nothing is left") {
  Workshop shop;
  const std::filesystem::path disk = shop.folder.path() / "disk";
  std::filesystem::create_directory(disk);
  // The built-in root alone is larger than what is left of that disk once kernel and initramfs are there.
  image::testing::put(shop.guestd, std::string(512 << 10, 'g'));
  Helper helper = Helper::start({"full-disk", disk, shop.kernel, shop.guestd});
  const std::vector<std::string> results = helper.results();
  const sys::ExitStatus status = helper.end();
  if (status.code == 77) image::testing::skip("this machine does not permit a mount namespace of one's own");
  CHECK(status.code == 1);
  REQUIRE(results.size() == 3);
  CHECK(results[0] == "io disk is full: nothing more can be written below '" + (disk / "images").string() +
                          "'; free some space there and try again");
  // The two folders that every store has, in any order.
  CHECK(results[1].starts_with("left ."));
  CHECK(results[2].starts_with("left ."));
  CHECK((results[1] == "left .cache" || results[1] == "left .locks"));
  CHECK((results[2] == "left .cache" || results[2] == "left .locks"));
}
