// The real mmdebstrap, which fetches some 60 MB of packages and takes a minute: only where FIRECLAW_TEST_DEBIAN is set.
#include <doctest/doctest.h>

#include <cstdlib>

#include "image/testing/craft.hpp"
#include "image/testing/workshop.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::skip;
using image::testing::Workshop;

TEST_CASE("mmdebstrap makes a Debian root with its owners and modes") {
  if (std::getenv("FIRECLAW_TEST_DEBIAN") == nullptr) skip("FIRECLAW_TEST_DEBIAN is not set");
  Workshop shop;
  const Entry entry = shop.build("debian", Debian{"bookworm", {}, ""});
  const std::string files = shop.listing(entry);
  CHECK(files.find("-rwsr-xr-x 0/0 ") != std::string::npos);
  CHECK(files.find("-rw-r----- 0/42 ") != std::string::npos);
  CHECK(files.find("squashfs-root/usr/bin/dpkg\n") != std::string::npos);
  CHECK(shop.content(entry, "etc/machine-id").empty());
  CHECK(shop.leftovers() == std::vector<std::string>{"debian"});
}
