// What an answered name opens, shown with packets.
#include "net/firewall/openings.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "fireclaw/error.hpp"
#include "net/testing/lab.hpp"
#include "net/testing/packets.hpp"

using namespace fireclaw;
using namespace fireclaw::net;
using namespace fireclaw::net::testing;
using std::chrono::hours;
using std::chrono::milliseconds;

namespace {

/// Long enough for a connection on a busy machine.
constexpr milliseconds moment{2000};

/// A lab with a web server, and what opens it from outside of the host's namespace.
class Fixture {
 public:
  Outcome connect(const Guest& guest, std::uint16_t port) { return try_tcp(guest.inside, "203.0.113.7", port); }
  bool open(const VmPolicy& vm, const char* destination, milliseconds lifetime = hours{1}) {
    return openings_.open(vm, std::vector{Destination::parse(destination)}, lifetime);
  }
  Lab& lab() { return lab_; }

 private:
  Lab lab_;
  sys::Fd https_ = listen_tcp(lab_.internet, "203.0.113.7", 443);
  sys::Fd http_ = listen_tcp(lab_.internet, "203.0.113.7", 80);
  Openings openings_{InterfaceName{"fcbr0"}, lab_.host.in([] { return Openings::open_socket(); })};
};

bool anything_open(const Lab& lab) {
  return nft(lab.host, "list table inet fireclaw").find("203.0.113.7") != std::string::npos;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "an opened port is reached by the machine it was opened to, and no other") {
  auto& guest = lab().add_guest(2, Egress::Allowlist);
  auto& other = lab().add_guest(3, Egress::Allowlist);
  auto& closed = lab().add_guest(4, Egress::None);
  CHECK(connect(guest, 443) == Outcome::Refused);
  CHECK(open(guest.vm, "203.0.113.7:443"));
  CHECK(open(closed.vm, "203.0.113.7:443"));
  CHECK(connect(guest, 443) == Outcome::Connected);
  CHECK(connect(guest, 80) == Outcome::Refused);
  CHECK(connect(other, 443) == Outcome::Refused);
  CHECK(connect(closed, 443) == Outcome::Refused);
  CHECK(open(other.vm, "203.0.113.7"));
  CHECK(connect(other, 80) == Outcome::Connected);
  CHECK(lab().firewall->vms().size() == 3);
}

TEST_CASE_FIXTURE(Fixture, "an opening ends with its time, which each answer sets again") {
  auto& guest = lab().add_guest(2, Egress::Allowlist);
  CHECK(open(guest.vm, "203.0.113.7:443/tcp", moment));
  CHECK(open(guest.vm, "203.0.113.7:443/tcp", hours{1}));
  CHECK(open(guest.vm, "203.0.113.7:80/tcp", moment));
  CHECK(connect(guest, 80) == Outcome::Connected);
  const auto late = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (connect(guest, 80) == Outcome::Connected) REQUIRE(std::chrono::steady_clock::now() < late);
  CHECK(connect(guest, 80) == Outcome::Refused);
  CHECK(connect(guest, 443) == Outcome::Connected);
}

TEST_CASE_FIXTURE(Fixture, "what is open to a machine goes with it, and nothing is opened to the next one by mistake") {
  auto& guest = lab().add_guest(2, Egress::Allowlist);
  CHECK(open(guest.vm, "203.0.113.7:443"));
  CHECK(open(guest.vm, "203.0.113.7"));
  CHECK(anything_open(lab()));
  SUBCASE("by its policy") { CHECK(lab().firewall->remove_vm(guest.vm)); }
  SUBCASE("by its address") { CHECK(lab().firewall->remove_vm(guest.vm.address)); }
  CHECK_FALSE(anything_open(lab()));
  CHECK_FALSE(open(guest.vm, "203.0.113.7:443"));
  auto next = guest.vm;
  next.tap = tap_name(InterfaceName{"fcbr0"}, "next");
  lab().firewall->add_vm(next);
  CHECK_FALSE(open(guest.vm, "203.0.113.7:443"));
  CHECK_FALSE(anything_open(lab()));
  CHECK(open(next, "203.0.113.7:443"));
}

TEST_CASE_FIXTURE(Fixture, "what is open to a machine stays when another one goes") {
  auto& guest = lab().add_guest(2, Egress::Allowlist);
  auto& other = lab().add_guest(3, Egress::Allowlist);
  CHECK(open(guest.vm, "203.0.113.7:443"));
  CHECK(open(other.vm, "203.0.113.7:443"));
  CHECK(open(other.vm, "203.0.113.7"));
  SUBCASE("by its policy") { CHECK(lab().firewall->remove_vm(guest.vm)); }
  SUBCASE("by its address") { CHECK(lab().firewall->remove_vm(guest.vm.address)); }
  CHECK(connect(other, 443) == Outcome::Connected);
  CHECK(connect(other, 80) == Outcome::Connected);
}
