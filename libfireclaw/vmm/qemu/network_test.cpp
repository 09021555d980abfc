// Machines with network interfaces, in a network namespace of the test's own.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cstring>

#include "fireclaw/error.hpp"
#include "vmm/qemu/testing_machine.hpp"

using namespace fireclaw;
using namespace fireclaw::vmm;
using namespace fireclaw::vmm::qemu::testing;

namespace {

sys::Fd make_tap(const std::string& name) {
  auto control = sys::open_file("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  sys::check(::ioctl(control.get(), TUNSETIFF, &request), "make a tap");
  return control;
}

struct Fixture {
  // First what may end the program as skipped, which destroys nothing: no folder is there to be left behind yet.
  std::filesystem::path image = image_or_skip();
  std::unique_ptr<Driver> driver = make_tcg_driver();
  sys::TempDir folder{"/tmp", "fireclaw-qemu-"};

  LaunchSpec spec(const std::string& id, NicBackend backend) {
    auto result = spec_or_skip(folder.path(), id);
    result.nics = {{"net0", "02:fc:00:00:00:07", std::move(backend)}};
    return result;
  }
  SnapshotFiles files(const std::string& name) {
    return {folder.path() / (name + ".state"), folder.path() / (name + ".memory")};
  }

  // Cold, saved, restored, saved again from there, restored: with the backend that `backend` makes for each machine.
  void go_round(const std::function<NicBackend(const std::string&)>& backend) {
    const StartOptions options{soon(), {}, {}};
    const auto first = driver->launch(spec("first", backend("first")), options);
    CHECK(ask(*first, "read /sys/class/net/eth0/address") == "02:fc:00:00:00:07");
    first->pause(soon());
    first->snapshot(files("a"), soon());
    const auto second = driver->restore(spec("second", backend("second")), files("a"), options);
    CHECK(ask(*second, "read /sys/class/net/eth0/address") == "02:fc:00:00:00:07");
    second->pause(soon());
    second->snapshot(files("b"), soon());
    const auto third = driver->restore(spec("third", backend("third")), files("b"), options);
    CHECK(ask(*third, "read /sys/class/net/eth0/address") == "02:fc:00:00:00:07");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "machines with user-mode networks are saved and restored") {
  go_round([](const std::string&) { return UserBackend{}; });
}

TEST_CASE_FIXTURE(Fixture, "every clone of a machine has a tap of its own, and saving a clone leaves no tap behind") {
  const auto interfaces = [] {
    int count = 0;
    auto* list = ::if_nameindex();
    for (auto* entry = list; entry->if_index != 0; ++entry) ++count;
    ::if_freenameindex(list);
    return count;
  };
  const int before = interfaces();
  std::vector<sys::Fd> taps;
  go_round([&](const std::string& id) {
    taps.push_back(make_tap("t-" + id));
    return TapBackend{"t-" + id, taps.back().get()};
  });
  CHECK(interfaces() == before + 3);
  taps.clear();
  CHECK(interfaces() == before);
}
