#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"
#include "guest/testing/fake_guest.hpp"
#include "guest/testing/guestd_process.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::guest {
namespace {

using sys::testing::thrown_by;
using testing::FakeGuest;
using testing::GuestdProcess;
using testing::sh;
using testing::soon;

Mount some_mount() { return {"/dev/vdb", "/workspace", "ext4", false, "nosuid"}; }

}  // namespace

TEST_CASE("disks are mounted after the identity and before the first command, in one breath") {
  std::string order;
  FakeGuest guest{[&](FakeGuest& self) {
    const std::uint32_t repeatable = self.greet().repeatable;
    for (std::uint32_t channel = 1; channel <= 4; ++channel) {
      const wire::Frame frame = self.await_frame();
      if (frame.type == wire::Type::Mount) {
        wire::Mount mount;
        REQUIRE(wire::decode(frame.payload, mount));
        order += mount.device + " " + mount.target + " " + mount.type + " " + mount.options + "; ";
      } else {
        order += std::to_string(static_cast<int>(frame.type)) + "; ";
      }
      if (frame.type == wire::Type::Exec)
        self.send(wire::Type::Exit, channel, wire::encode(wire::Exit{}));
      else
        self.send_done(channel);
    }
    CHECK(repeatable > 0);
    self.await_hang_up();
  }};
  Identity identity = testing::some_identity();
  identity.mounts = {some_mount(), {"/dev/vdc", "/scratch", "ext4", false, ""}};
  Opened opened = Session::open_and_start(guest.take_stream(), {}, identity, sh("true"), soon());
  CHECK(opened.process.wait().exit_code == 0);
  CHECK(order == "16; /dev/vdb /workspace ext4 nosuid; /dev/vdc /scratch ext4 ; 18; ");
}

TEST_CASE("a disk that cannot be mounted keeps the session from opening, and its command from running") {
  GuestdProcess guestd;
  Identity identity = testing::some_identity();
  identity.mounts = {some_mount()};
  identity.mounts[0].target = "/";
  const Error error = thrown_by(
      [&] { Session::open_and_start(guestd.take_stream(), {}, identity, sh("echo ran > /dev/null"), soon()); });
  CHECK(error.code() == ErrorCode::InvalidArgument);
  CHECK(std::string{error.what()} == "mounting the guest's /: '/' is not a place to mount a disk at");
}

TEST_CASE("after a mount that failed a session runs no commands and no services; the next one does") {
  GuestdProcess guestd{2};
  {
    Session session = guestd.open();
    session.mount(some_mount(), soon());
    CHECK(session.exec(sh("exit 3")).exit_code == 3);
    Mount wrong = some_mount();
    wrong.device = "/etc/passwd";
    CHECK(thrown_by([&] { session.mount(wrong, soon()); }).code() == ErrorCode::InvalidArgument);
    CHECK(std::string{thrown_by([&] { session.exec(sh("true")); }).what()} == "the guest could not be configured");
    ServiceOptions service;
    service.name = "bot";
    service.argv = {"true"};
    CHECK(std::string{thrown_by([&] { session.service_start(service, soon()); }).what()} ==
          "starting service 'bot': the guest could not be configured");
  }
  Session next = guestd.open();
  CHECK(next.exec(sh("exit 4")).exit_code == 4);
  next.unmount("/workspace", soon());
  CHECK(thrown_by([&] { next.unmount("relative", soon()); }).code() == ErrorCode::InvalidArgument);
}

}  // namespace fireclaw::guest
