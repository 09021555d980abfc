#include "core/host/engines.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "core/host/confinement.hpp"
#include "fireclaw/error.hpp"
#include "image/store/manifest.hpp"
#include "state/settings/config.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"
#include "sys/sandbox/sandbox.hpp"

using namespace fireclaw;

namespace {

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "engines-test-"};
  std::filesystem::path program = folder.path() / "engine";
  image::Entry image;
  state::Config config;

  Fixture() {
    write_program("#!/bin/sh\nexit 0\n");
    image.manifest.name = "busybox";
    image.manifest.kernel.release = "6.1.0";
    image.manifest.kernel.sha256 = "kernel-a";
    config.set_up_by = "0.1.0";
  }

  void write_program(const std::string& text) const {
    std::ofstream{program} << text;
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  }

  void seen(const std::string& engine, bool works, const std::string& kernel = "kernel-a") {
    EngineVerdict verdict;
    verdict.engine = engine;
    verdict.binary = program;
    verdict.version = "7.2.0";
    verdict.kernel_sha256 = kernel;
    verdict.works = works;
    if (!works) verdict.reason = "the kernel did not come up within 12 s";
    state::put_verdict(config, state::stamp(verdict));
  }

  [[nodiscard]] Host::Impl host(Engine choice = Engine::Auto) const {
    HostOptions options;
    options.home = folder.path() / "home";
    options.engine = choice;
    options.search_path = {folder.path()};
    sys::make_directories(options.home / "locks");
    state::write_config(options.home / "config.json", config);
    return Host::Impl{options};
  }

  /// An image whose kernel's content is its name.
  static void save_image(const Host::Impl& here, const std::string& name) {
    const auto folder = here.layout.images() / name;
    sys::make_directories(folder);
    image::Manifest manifest;
    manifest.name = name;
    for (auto [file, info] : {std::pair{"kernel", &manifest.kernel_file}, std::pair{"initramfs", &manifest.initramfs},
                              std::pair{"rootfs", &manifest.rootfs}}) {
      sys::replace_file(folder / file, name);
      *info = {sys::sha256_hex(name), name.size()};
    }
    manifest.kernel = {KernelFormat::Elf, VirtioBus::Mmio, "6.1.0", manifest.kernel_file.sha256, "made up"};
    manifest.rootfs_type = "squashfs";
    manifest.digest = image::combined_digest(manifest.kernel_file, manifest.initramfs, manifest.rootfs);
    sys::replace_file(folder / "manifest.json", image::to_json(manifest));
  }

  [[nodiscard]] std::string refusal(Engine choice = Engine::Auto) const {
    try {
      core::choose_engine(host(choice), image);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::InvalidState);
      return error.what();
    }
    FAIL("an engine was chosen");
    return {};
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "the best engine that was seen to boot the kernel is chosen") {
  seen("qemu-tcg", true);
  CHECK(core::choose_engine(host(), image).engine == "qemu-tcg");
  seen("qemu-kvm", true);
  CHECK(core::choose_engine(host(), image).engine == "qemu-kvm");
  seen("firecracker", true);
  CHECK(core::choose_engine(host(), image).engine == "firecracker");
  seen("firecracker", false);
  CHECK(core::choose_engine(host(), image).engine == "qemu-kvm");
}

TEST_CASE_FIXTURE(Fixture, "a named engine is chosen, or refused with why it does not work") {
  seen("qemu-kvm", false);
  seen("qemu-tcg", true);
  CHECK(core::choose_engine(host(Engine::Qemu), image).engine == "qemu-tcg");
  CHECK(core::choose_engine(host(Engine::QemuTcg), image).engine == "qemu-tcg");
  CHECK(refusal(Engine::QemuKvm).find("did not come up") != std::string::npos);
  CHECK(refusal(Engine::Firecracker).find("fireclaw setup") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "what was seen with one kernel says nothing of another, with which all are tried") {
  seen("qemu-tcg", true, "kernel-b");
  CHECK(core::engines_to_try(host(), image) == std::vector<std::string>{"firecracker", "qemu-kvm", "qemu-tcg"});
  CHECK(core::engines_to_try(host(Engine::QemuTcg), image) == std::vector<std::string>{"qemu-tcg"});
  CHECK_FALSE(core::find_engine(host(), image));
}

TEST_CASE_FIXTURE(Fixture, "a better engine whose program was exchanged is to be tried before a worse one is chosen") {
  seen("qemu-kvm", true);
  const auto elsewhere = folder.path() / "other";
  std::filesystem::copy_file(program, elsewhere);
  program = elsewhere;
  seen("qemu-tcg", true);
  CHECK(core::engines_to_try(host(), image).empty());
  std::ofstream{folder.path() / "engine"} << "#!/bin/sh\nexit 1 # another\n";
  CHECK(core::engines_to_try(host(), image) == std::vector<std::string>{"qemu-kvm"});
  CHECK(core::engines_to_try(host(Engine::QemuTcg), image).empty());
  CHECK(core::find_engine(host(), image)->engine == "qemu-tcg");
  CHECK(core::engines_to_try(host(), image, "qemu-tcg").empty());
}

TEST_CASE_FIXTURE(Fixture, "what was seen of an exchanged program is recorded, and it is not tried a second time") {
  seen("qemu-tcg", true);
  write_program("#!/bin/sh\nexit 1 # another\n");
  const auto here = host(Engine::QemuTcg);
  CHECK_THROWS_AS(core::choose_engine(here, image), Error);
  const auto after = state::read_config(here.layout.config());
  REQUIRE(after.engines.size() == 1);
  CHECK_FALSE(after.engines.front().verdict.works);
  CHECK_FALSE(after.engines.front().verdict.reason.empty());
  CHECK(core::engines_to_try(here, image).empty());
}

TEST_CASE_FIXTURE(Fixture, "an engine whose program is gone is not waited for") {
  seen("qemu-tcg", true);
  std::filesystem::remove(program);
  CHECK(core::engines_to_try(host(), image).empty());
  CHECK(refusal().find("has changed since") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "an engine whose program is at another place now is tried there") {
  seen("firecracker", true);
  std::filesystem::remove(program);
  program = folder.path() / "qemu-system-x86_64";
  write_program("#!/bin/sh\nexit 0\n");
  CHECK(core::engines_to_try(host(), image).empty());
  program = folder.path() / "firecracker";
  write_program("#!/bin/sh\nexit 0\n");
  CHECK(core::engines_to_try(host(), image) == std::vector<std::string>{"firecracker"});
}

TEST_CASE_FIXTURE(Fixture, "a kernel that no engine was tried with does not cause a trial before there was a setup") {
  config.set_up_by.clear();
  CHECK(core::engines_to_try(host(), image).empty());
}

TEST_CASE_FIXTURE(Fixture, "before any setup, the refusal says what to do") {
  config = {};
  CHECK(refusal().find("fireclaw setup") != std::string::npos);
}

TEST_CASE("a guest that boots is waited for while it makes progress, and no longer") {
  using namespace std::chrono_literals;
  const core::BootWatch::Time began{};
  const auto fresh = [&] { return core::BootWatch{12s, began}; };
  SUBCASE("one that does nothing at all is given up after the limit") {
    auto watch = fresh();
    CHECK_FALSE(watch.gives_up(began + 11s, "", 0s));
    CHECK(watch.gives_up(began + 12s, "", 0s));
  }
  SUBCASE("one that gets little of a busy host is not") {
    auto watch = fresh();
    for (auto second = 1s; second < 100s; ++second) CHECK_FALSE(watch.gives_up(began + second, "", second / 10));
    CHECK(watch.gives_up(began + 130s, "", 12s));
  }
  SUBCASE("what it says on its console is progress, and the time that it used before counts no more") {
    auto watch = fresh();
    CHECK_FALSE(watch.gives_up(began + 11s, "", 11s));
    CHECK_FALSE(watch.gives_up(began + 20s, "Linux version", 20s));
    CHECK_FALSE(watch.gives_up(began + 31s, "Linux version", 31s));
    CHECK(watch.gives_up(began + 32s, "Linux version", 32s));
  }
  SUBCASE("where another came up sooner, CPU time alone is none") {
    auto watch = fresh();
    CHECK_FALSE(watch.gives_up(began + 2s, "Linux version", 2s));
    watch.hurry(5s);
    CHECK_FALSE(watch.gives_up(began + 6s, "Linux version", 3s));
    CHECK(watch.gives_up(began + 7s, "Linux version", 4s));
    CHECK(watch.waited() == 5s);
  }
  SUBCASE("what an idle engine uses is not") {
    auto watch = fresh();
    for (auto second = 1s; second < 12s; ++second) {
      CHECK_FALSE(watch.gives_up(began + second, "panic", std::chrono::milliseconds{second.count()}));
    }
    CHECK(watch.gives_up(began + 14s, "panic", 14ms));
  }
}

TEST_CASE("engines and network modes are known by their names") {
  for (const auto engine : {Engine::Auto, Engine::Firecracker, Engine::Qemu, Engine::QemuKvm, Engine::QemuTcg}) {
    CHECK(engine_from_string(to_string(engine)) == engine);
  }
  CHECK(network_mode_from_string("user") == NetworkMode::User);
  CHECK_THROWS_WITH_AS(engine_from_string("steam"),
                       "unknown engine 'steam'; use one of: auto, firecracker, qemu, qemu-kvm, qemu-tcg", Error);
  for (const auto* text : {"", "qemu-", "Qemu", "qemu ", "qemu-kvmx", "fire"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(engine_from_string(text), Error);
  }
  for (const auto* text : {"", "use", "users", "NAT"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(network_mode_from_string(text), Error);
  }
}

TEST_CASE_FIXTURE(Fixture, "an engine that is known with another kernel only is tried with this one, and no other is") {
  write_program("#!/bin/sh\n[ \"$1\" = --version ] && echo 'QEMU emulator version 7.2.22' && exit 0\nexit 1\n");
  const auto kernel_a = sys::sha256_hex("busybox");
  const auto kernel_b = sys::sha256_hex("other");
  seen("qemu-kvm", true, kernel_a);
  seen("qemu-tcg", true, kernel_b);
  seen("qemu-kvm", true, kernel_b);
  seen("qemu-tcg", true, sys::sha256_hex("of no image"));
  const auto here = host();
  for (const auto* name : {"busybox", "other"}) save_image(here, name);
  const auto is_tried = [&] { return core::refresh_engines(here, here.images.open("busybox"), false, {}, {}); };
  CHECK(is_tried());
  const auto config = state::read_config(here.layout.config());
  const auto works = [&](const std::string& engine, const std::string& kernel) -> std::optional<bool> {
    for (const auto& entry : config.engines) {
      if (entry.verdict.engine == engine && entry.verdict.kernel_sha256 == kernel) return entry.verdict.works;
    }
    return std::nullopt;
  };
  CHECK(config.engines.size() == 4);
  CHECK(works("qemu-tcg", kernel_a) == false);
  CHECK(works("qemu-kvm", kernel_a) == true);
  CHECK(works("qemu-tcg", kernel_b) == true);
  CHECK(works("qemu-kvm", kernel_b) == true);
  CHECK_FALSE(is_tried());
  // All again, with each kernel that is known.
  CHECK(core::refresh_engines(here, here.images.open("busybox"), true, {}, {}));
  const auto again = state::read_config(here.layout.config()).engines;
  CHECK(again.size() == 6);
  for (const auto& entry : again) CHECK_FALSE(entry.verdict.works);
}

TEST_CASE_FIXTURE(Fixture,
                  "an engine's program is the one that was named, then one that has worked, then one that is found") {
  constexpr auto qemu = "#!/bin/sh\necho 'QEMU emulator version 99.0.0'\n";
  const auto write = [&](const std::string& name) {
    program = folder.path() / name;
    write_program(qemu);
    return program;
  };
  struct Row {
    bool is_named;
    std::optional<bool> worked;
    bool is_there;
    bool is_found;
    std::string used;
  };
  for (const auto& row :
       {Row{true, true, true, true, "named"}, Row{true, std::nullopt, true, false, "named"},
        Row{false, true, true, true, "known"}, Row{false, true, false, true, "qemu-system-x86_64"},
        Row{false, false, true, true, "qemu-system-x86_64"}, Row{false, false, true, false, "known"},
        Row{false, std::nullopt, true, true, "qemu-system-x86_64"}, Row{false, std::nullopt, true, false, ""}}) {
    CAPTURE(row.used);
    CAPTURE(row.is_named);
    config.engines.clear();
    const auto named = write("named");
    const auto found = write("qemu-system-x86_64");
    const auto known = write("known");
    if (row.worked) seen("qemu-tcg", *row.worked);
    if (!row.is_found) std::filesystem::remove(found);
    if (!row.is_there) std::filesystem::remove(known);
    auto here = host(Engine::QemuTcg);
    if (row.is_named) here.options.qemu = named;
    const auto candidates = core::find_candidates(here).to_try;
    CHECK(candidates.empty() == row.used.empty());
    if (!candidates.empty()) CHECK(candidates.front().verdict.binary == folder.path() / row.used);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "what was found of confinement counts while the system and the users of machines are the same") {
  const sys::IdRange users{5000, 10};
  struct Row {
    std::optional<sys::IdRange> found;
    sys::IdRange wanted;
    std::string elsewhere;
    bool counts;
  };
  for (const auto& row :
       {Row{users, users, "", true}, Row{std::nullopt, users, "", true}, Row{users, {5000, 11}, "", false},
        Row{users, {5001, 10}, "", false}, Row{users, users, " of another host", false}}) {
    CAPTURE(row.wanted.first);
    CAPTURE(row.wanted.count);
    config.confinement.emplace();
    config.confinement->ids = row.found;
    config.confinement->obstacle = "as it was found";
    config.confinement->context = sys::confinement_context() + row.elsewhere;
    config.sandbox.users = row.wanted;
    CHECK((core::confinement(host()).obstacle == "as it was found") == row.counts);
  }
}

TEST_CASE_FIXTURE(Fixture, "an engine is used if it is confined as config.json requires") {
  struct Row {
    sys::Confinement level;
    bool required;
    bool refused;
  };
  for (const auto& row : {Row{sys::Confinement::Full, true, false}, Row{sys::Confinement::Landlock, true, true},
                          Row{sys::Confinement::None, true, true}, Row{sys::Confinement::Landlock, false, false},
                          Row{sys::Confinement::None, false, false}}) {
    CAPTURE(static_cast<int>(row.level));
    CAPTURE(row.required);
    config.confinement.emplace();
    config.confinement->level = row.level;
    config.confinement->obstacle = "no namespaces";
    config.confinement->context = sys::confinement_context();
    config.sandbox.required = row.required;
    const auto here = host();
    if (row.refused) {
      CHECK_THROWS_WITH_AS(core::require_confinement(here), doctest::Contains("(no namespaces)"), Error);
    } else {
      CHECK_NOTHROW(core::require_confinement(here));
    }
  }
}
