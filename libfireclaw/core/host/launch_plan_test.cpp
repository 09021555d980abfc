#include "core/host/launch_plan.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "fireclaw/error.hpp"
#include "state/records/snapshots.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using sys::testing::code_of;

namespace {

vmm::Capabilities capabilities() {
  vmm::Capabilities made;
  made.max_vcpus = 4;
  made.user_network = false;
  return made;
}

/// An engine of which only the identity is asked.
class NamedDriver final : public vmm::Driver {
 public:
  explicit NamedDriver(std::string identity) : identity_{std::move(identity)} {}
  [[nodiscard]] std::string name() const override { return "engine-x"; }
  [[nodiscard]] std::string snapshot_identity() const override { return identity_; }
  [[nodiscard]] vmm::Capabilities capabilities() const override { return {}; }
  std::unique_ptr<vmm::Instance> launch(const vmm::LaunchSpec&, const vmm::StartOptions&) override { return nullptr; }
  std::unique_ptr<vmm::Instance> restore(const vmm::LaunchSpec&, const vmm::SnapshotFiles&,
                                         const vmm::StartOptions&) override {
    return nullptr;
  }
  std::unique_ptr<vmm::Instance> adopt(const vmm::RuntimeRecord&) override { return nullptr; }

 private:
  std::string identity_;
};

}  // namespace

TEST_CASE("a snapshot's key tells engines, images and every part of a machine's shape apart") {
  image::Entry image;
  image.manifest.digest = "digest-a";
  const auto key = core::make_key(NamedDriver{"one"}, image, {2, 128, true});
  CHECK(key == core::make_key(NamedDriver{"one"}, image, {2, 128, true}));
  std::set<std::string> names{state::automatic_name(key)};
  const auto differs = [&](const state::SnapshotKey& other) {
    return other != key && names.insert(state::automatic_name(other)).second;
  };
  CHECK(differs(core::make_key(NamedDriver{"two"}, image, {2, 128, true})));
  CHECK(differs(core::make_key(NamedDriver{"one"}, image, {1, 128, true})));
  CHECK(differs(core::make_key(NamedDriver{"one"}, image, {2, 129, true})));
  CHECK(differs(core::make_key(NamedDriver{"one"}, image, {2, 128, false})));
  image.manifest.digest = "digest-b";
  CHECK(differs(core::make_key(NamedDriver{"one"}, image, {2, 128, true})));
}

TEST_CASE("a machine's shape is checked against the limits and the engine") {
  const auto check = [](core::Shape shape) { core::check_shape(shape, capabilities(), "engine-x"); };
  CHECK_NOTHROW(check({1, 32}));
  CHECK_NOTHROW(check({4, 1'048'576}));
  CHECK(code_of([&] { check({0, 128}); }) == ErrorCode::InvalidArgument);
  CHECK(code_of([&] { check({5, 128}); }) == ErrorCode::InvalidArgument);
  CHECK(code_of([&] { check({1, 31}); }) == ErrorCode::InvalidArgument);
  CHECK(code_of([&] { check({1, 1'048'577}); }) == ErrorCode::InvalidArgument);
}

TEST_CASE("host names are RFC 1123 labels") {
  for (const auto* name : {"a", "A-1", "0", "fc-01234567"}) CHECK_NOTHROW(core::check_hostname(name));
  CHECK_NOTHROW(core::check_hostname(std::string(63, 'x')));
  for (const auto& name :
       {std::string{}, std::string(64, 'x'), std::string{"-a"}, std::string{"a-"}, std::string{"a.b"},
        std::string{"a_b"}, std::string{"a b"}, std::string{"a\n"}, std::string{"ü"}}) {
    CHECK(code_of([&] { core::check_hostname(name); }) == ErrorCode::InvalidArgument);
  }
}

TEST_CASE("no two identities are alike") {
  const auto first = core::make_identity("one");
  const auto second = core::make_identity("one");
  CHECK(first.machine_id.size() == 32);
  CHECK(first.machine_id != second.machine_id);
  CHECK(first.entropy != second.entropy);
  CHECK_FALSE(first.interface);
}
