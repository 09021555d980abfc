#include "net/links/tap.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cstring>
#include <string>

#include "fireclaw/error.hpp"
#include "net/links/bridge.hpp"
#include "net/pool.hpp"
#include "net/testing/lab.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using namespace fireclaw::net;
using namespace fireclaw::net::testing;
using sys::testing::code_of;

namespace {

const auto name = tap_name(InterfaceName{"fcbr0"}, "0a1b2c3d");

bool exists(const Namespace& where) {
  return where.in([] { return Netlink{}.find_link(name).has_value(); });
}

/// Opens the tap as engines do that are given its name.
sys::Fd open_by_name() {
  sys::Fd fd{sys::check(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), "open")};
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  std::memcpy(request.ifr_name, name.str().c_str(), name.str().size());
  sys::check(::ioctl(fd.get(), TUNSETIFF, &request), "TUNSETIFF");
  return fd;
}

}  // namespace

TEST_CASE("a tap lives as long as its descriptor") {
  const Namespace host;
  {
    const auto tap = host.in([] { return Tap::create(name); });
    CHECK(host.in([] { return Netlink{}.get_link(name).kind; }) == "tun");
    CHECK(host.in([] { return code_of([] { Tap::create(name); }); }) == ErrorCode::AlreadyExists);
    CHECK(host.in([] { return code_of([] { NamedTap::create(name); }); }) == ErrorCode::AlreadyExists);
    CHECK(exists(host));
  }
  CHECK_FALSE(exists(host));
}

TEST_CASE("no tap survives the SIGKILL of its holder, not even as a port of a bridge") {
  const Namespace host;
  host.in([] { Netlink{}.create_bridge(InterfaceName{"fcbr0"}, MacAddress::parse("02:00:00:00:00:01"), 1500); });
  Forked holder{[&] {
    host.in([] {
      static const auto tap = Tap::create(name);
      attach_port({}, name, Ipv4Address::parse("172.16.0.2"));
    });
  }};
  CHECK(exists(host));
  holder.kill();
  CHECK_FALSE(exists(host));
}

TEST_CASE("a tap for an engine that opens it by name is deleted with its object until the engine has it") {
  const Namespace host;
  {
    const auto tap = host.in([] { return NamedTap::create(name); });
    CHECK(exists(host));
  }
  CHECK_FALSE(exists(host));
}

TEST_CASE("once handed over, a tap ends with the engine and not before") {
  const Namespace host;
  std::optional<Forked> engine;
  {
    auto tap = host.in([] { return NamedTap::create(name); });
    engine.emplace([&] { host.in([] { static const auto fd = open_by_name(); }); });
    tap.hand_over(engine->id());
  }
  CHECK(exists(host));
  engine->kill();
  CHECK_FALSE(exists(host));
}

TEST_CASE("the starter's SIGKILL after the hand-over changes nothing for the engine") {
  const Namespace host;
  Forked engine{[&] {
    host.in([] {
      // The child makes the tap itself here, and so stands for starter and engine in turn.
      auto tap = NamedTap::create(name);
      static const auto fd = open_by_name();
      tap.hand_over(sys::current_process());
    });
  }};
  CHECK(exists(host));
  engine.kill();
  CHECK_FALSE(exists(host));
}

TEST_CASE("a tap cannot be handed to a process that has not opened it, or is gone, and still belongs to its maker") {
  const Namespace host;
  {
    auto tap = host.in([] { return NamedTap::create(name); });
    Forked idle{[] {}};
    CHECK(code_of([&] { tap.hand_over(idle.id()); }) == ErrorCode::InvalidState);
    idle.kill();
    CHECK(code_of([&] { tap.hand_over(idle.id()); }) == ErrorCode::NotFound);
    CHECK(exists(host));
  }
  CHECK_FALSE(exists(host));
}

TEST_CASE("a starter killed before the hand-over leaves a tap that its reclaimed lease names") {
  const Namespace host;
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "fireclaw-tap-"};
  const AddressPool pool{folder.path() / "ip-pool.json", InterfaceName{"fcbr0"}, Ipv4Network::parse("172.16.0.0/24"),
                         Ipv4Address::parse("172.16.0.1")};
  Forked starter{[&] {
    host.in([&] {
      auto own = pool;
      const auto lease = own.allocate(sys::current_process(), "run").lease;
      NamedTap::create(lease.tap).keep();
    });
  }};
  starter.kill();
  auto own = pool;
  const auto reclaimed = own.reclaim();
  REQUIRE(reclaimed.size() == 1);
  host.in([&] {
    CHECK(Netlink{}.delete_link(reclaimed.front().tap));
    CHECK_FALSE(Netlink{}.delete_link(reclaimed.front().tap));
  });
}

TEST_CASE("a tap's owner may attach to it without capabilities, others may not") {
  const Namespace host;
  const auto open_without = [&] { without_capabilities([] { open_by_name(); }); };
  host.in([&] {
    {
      const auto tap = NamedTap::create(name);
      CHECK_NOTHROW(open_without());
    }
    // In a user namespace there may be no second user to give it to.
    if (const auto map = sys::read_file("/proc/self/uid_map", 4096); map.find("4294967295") == std::string::npos)
      return;
    const auto tap = NamedTap::create(name, 12345);
    CHECK(code_of(open_without) == ErrorCode::PermissionDenied);
  });
}

TEST_CASE("without CAP_NET_ADMIN no tap can be made, and the error says what to do") {
  const Namespace host;
  host.in([] {
    without_capabilities([] {
      try {
        Tap::create(name);
        FAIL("made without permission");
      } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::PermissionDenied);
        CHECK(std::string{error.what()}.find("--net user") != std::string::npos);
      }
    });
  });
}
