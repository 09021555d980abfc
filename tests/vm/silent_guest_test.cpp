#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "support.hpp"

using namespace fireclaw;

TEST_CASE("a guest that never greets the host is given up in time, with what its console said") {
  const std::string name = "silent-guest-test";
  HostOptions options;
  options.home = test::home();
  options.engine = engine_from_string(test::environment("FIRECLAW_TEST_ENGINE", "auto"));
  options.firecracker = test::environment("FIRECLAW_TEST_FIRECRACKER", "");
  options.guestd = test::environment("FIRECLAW_SILENT_INIT", "");
  auto host = Host::open(options);

  ImageConfig image;
  image.name = name;
  image.kernel = KernelOfImage{"busybox"};
  image.replace = true;
  host.images().build(image);
  {
    VMConfig config;
    config.image = name;
    config.start = StartMode::Cold;
    auto vm = host.vms().run(config, {.timeout = std::chrono::seconds{20}});
    const auto began = std::chrono::steady_clock::now();
    const auto error = test::error_of([&] { vm.exec(ExecOptions::shell("true")); });
    CHECK(error.code() == ErrorCode::Timeout);
    CHECK(std::string{error.what()}.find("nothing to say") != std::string::npos);
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds{30});
  }
  host.images().remove(name);
  CHECK(test::error_of([&] { return host.images().info(name); }).code() == ErrorCode::NotFound);
}
