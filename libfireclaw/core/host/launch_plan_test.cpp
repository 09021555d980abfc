#include "core/host/launch_plan.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;

namespace {

ErrorCode code_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::Internal;
}

vmm::Capabilities capabilities() {
  vmm::Capabilities made;
  made.max_vcpus = 4;
  made.user_network = false;
  return made;
}

}  // namespace

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
