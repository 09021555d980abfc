#include "vmm/firecracker/requests.hpp"

#include <doctest/doctest.h>

#include "fireclaw/error.hpp"
#include "vmm/firecracker/driver.hpp"

namespace fireclaw::vmm::firecracker {
namespace {

constexpr Version v1_15{1, 15, 2};
constexpr Version v1_16_1{1, 16, 1};
constexpr Version v1_17{1, 17, 0};

LaunchSpec small() {
  LaunchSpec spec;
  spec.id = "run-1";
  spec.run_dir = "/runs/run-1";
  spec.kernel = {"/images/a/vmlinux", KernelFormat::Elf, VirtioBus::Mmio};
  spec.initramfs = "/images/a/initramfs";
  spec.cmdline = "fireclaw.rootfs=squashfs";
  spec.vcpus = 2;
  spec.memory_mib = 256;
  return spec;
}

LaunchSpec full() {
  LaunchSpec spec = small();
  spec.drives = {{"rootfs", "/images/a/rootfs", true}, {"scratch", "/agents/x/disk.img", false}};
  spec.nics = {{"eth0", "02:fc:00:00:00:01", TapBackend{"fctap7"}}};
  return spec;
}

ErrorCode refusal(const LaunchSpec& spec, const Version& version) {
  try {
    (void)to_requests(spec, version);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::Internal;
}

TEST_CASE("a version that trusts its guests too much gets neither PCI nor a device for entropy or free memory") {
  constexpr Version risky{1, 15, 0};
  for (const auto& request : to_requests(full(), risky)) {
    CHECK(request.target != "/entropy");
    CHECK(request.target != "/balloon");
  }
  auto pci = full();
  pci.kernel.bus = VirtioBus::Pci;
  CHECK(refusal(pci, risky) == ErrorCode::Unsupported);
  CHECK_NOTHROW(to_requests(pci, Version{1, 15, 1}));
  CHECK(trusts_guests_too_much(Version{1, 14, 3}));
  CHECK_FALSE(trusts_guests_too_much(Version{1, 14, 4}));
  CHECK_FALSE(trusts_guests_too_much(v1_16_1));
  CHECK_FALSE(known_hole("1.15.0").empty());
  CHECK(known_hole("1.15.1").empty());
  CHECK(known_hole("1.17.0-dev").empty());
}

TEST_CASE("a cold start is these requests in this order") {
  const std::string args =
      "fireclaw.rootfs=squashfs console=ttyS0 8250.nr_uarts=1 reboot=k panic=-1 quiet loglevel=1 i8042.noaux "
      "i8042.nokbd clocksource=kvm-clock";
  const std::vector<http::Request> expected{
      {"PUT", "/machine-config", R"({"vcpu_count":2,"mem_size_mib":256})"},
      {"PUT", "/boot-source",
       R"({"kernel_image_path":"/images/a/vmlinux","initrd_path":"/images/a/initramfs","boot_args":")" + args +
           R"("})"},
      {"PUT", "/drives/rootfs",
       R"({"drive_id":"rootfs","path_on_host":"drive_rootfs","is_root_device":false,"is_read_only":true})"},
      {"PUT", "/drives/scratch",
       R"({"drive_id":"scratch","path_on_host":"drive_scratch","is_root_device":false,"is_read_only":false})"},
      {"PUT", "/network-interfaces/eth0",
       R"({"iface_id":"eth0","host_dev_name":"fctap7","guest_mac":"02:fc:00:00:00:01"})"},
      {"PUT", "/vsock", R"({"guest_cid":3,"uds_path":"v.sock"})"},
      {"PUT", "/entropy", "{}"},
      {"PUT", "/balloon", R"({"amount_mib":0,"deflate_on_oom":false,"free_page_reporting":true})"},
      {"PUT", "/actions", R"({"action_type":"InstanceStart"})"}};
  const auto actual = to_requests(full(), v1_17);
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(actual[i].method == expected[i].method);
    CHECK(actual[i].target == expected[i].target);
    CHECK(actual[i].body == expected[i].body);
  }
  CHECK(to_requests(full(), v1_15) == expected);
}

TEST_CASE("a machine without initramfs, drives and nics names none") {
  LaunchSpec spec = small();
  spec.initramfs.clear();
  spec.cmdline.clear();
  const auto requests = to_requests(spec, v1_17);
  CHECK(requests.size() == 6);
  CHECK(requests[1].body.find("initrd_path") == std::string::npos);
  CHECK(requests[1].body.find(R"("boot_args":"console=ttyS0 )") != std::string::npos);
}

TEST_CASE("a load names the clone's own taps, and fields only where the version knows them") {
  const SnapshotFiles files{"/s/state", "/s/memory"};
  const std::string common =
      R"({"snapshot_path":"/s/state","mem_backend":{"backend_type":"File","backend_path":"/s/memory"},"resume_vm":true)"
      R"(,"network_overrides":[{"iface_id":"eth0","host_dev_name":"fctap7"}])";
  CHECK(to_load_request(full(), files, v1_15) == http::Request{"PUT", "/snapshot/load", common + "}"});
  const std::string newer = common + R"(,"vsock_override":{"uds_path":"v.sock"}})";
  CHECK(to_load_request(full(), files, v1_16_1).body == newer);
  CHECK(to_load_request(full(), files, v1_17).body == newer);
  CHECK(to_load_request(small(), files, v1_15).body.find("network_overrides") == std::string::npos);
}

TEST_CASE("a drive's rate is asked for with the drive, and again after a load") {
  const SnapshotFiles files{"/s/state", "/s/memory"};
  LaunchSpec spec = full();
  CHECK(to_restore_requests(spec, files, v1_17).size() == 1);
  spec.drives[1].bytes_per_second = 5 << 20;
  const std::string rate = R"("rate_limiter":{"bandwidth":{"size":5242880,"refill_time":1000}})";
  CHECK(to_requests(spec, v1_17)[3].body ==
        R"({"drive_id":"scratch","path_on_host":"drive_scratch","is_root_device":false,"is_read_only":false,)" + rate +
            "}");
  CHECK(to_restore_requests(spec, files, v1_17) ==
        std::vector{to_load_request(spec, files, v1_17),
                    http::Request{"PATCH", "/drives/scratch", R"({"drive_id":"scratch",)" + rate + "}"}});
}

TEST_CASE("saving, pausing and resuming are one request each") {
  CHECK(to_create_request({"/s/state", "/s/memory"}) ==
        http::Request{"PUT", "/snapshot/create",
                      R"({"snapshot_type":"Full","snapshot_path":"/s/state","mem_file_path":"/s/memory"})"});
  CHECK(pause_request() == http::Request{"PATCH", "/vm", R"({"state":"Paused"})"});
  CHECK(resume_request() == http::Request{"PATCH", "/vm", R"({"state":"Resumed"})"});
}

TEST_CASE("the command line names files in the machine's folder, and PCI only for kernels that want it") {
  LaunchSpec spec = small();
  const std::vector<std::string> expected{"/bin/fc", "--api-sock",   "api.sock",       "--id",
                                          "run-1",   "--log-path",   "log.pipe",       "--level",
                                          "Warning", "--show-level", "--metrics-path", "metrics.pipe"};
  CHECK(to_argv("/bin/fc", spec) == expected);
  spec.kernel.bus = VirtioBus::Pci;
  CHECK(to_argv("/bin/fc", spec).back() == "--enable-pci");
}

TEST_CASE("what this Firecracker cannot do is refused before anything starts") {
  LaunchSpec spec = full();
  SUBCASE("user-mode network") {
    spec.nics[0].backend = UserBackend{};
    CHECK(refusal(spec, v1_17) == ErrorCode::Unsupported);
  }
  SUBCASE("a bzImage before 1.17") {
    spec.kernel.format = KernelFormat::BzImage;
    CHECK(refusal(spec, v1_16_1) == ErrorCode::Unsupported);
    CHECK(refusal(spec, v1_17) == ErrorCode::Internal);
  }
  SUBCASE("too many CPUs") {
    spec.vcpus = 33;
    CHECK(refusal(spec, v1_17) == ErrorCode::InvalidArgument);
  }
  SUBCASE("no CPUs") {
    spec.vcpus = 0;
    CHECK(refusal(spec, v1_17) == ErrorCode::InvalidArgument);
  }
  SUBCASE("no memory") {
    spec.memory_mib = 0;
    CHECK(refusal(spec, v1_17) == ErrorCode::InvalidArgument);
  }
  SUBCASE("ids that would leave their place in a path or a command line, or are too long for it") {
    const std::string longer_than_ids(65, 'a');
    for (const auto& id : std::vector<std::string>{"", "../x", "a/b", "a b", "ü", longer_than_ids}) {
      spec.id = id;
      CHECK(refusal(spec, v1_17) == ErrorCode::InvalidArgument);
      spec = full();
      spec.drives[0].id = id;
      CHECK(refusal(spec, v1_17) == ErrorCode::InvalidArgument);
      spec = full();
      spec.nics[0].id = id;
      CHECK(refusal(spec, v1_17) == ErrorCode::InvalidArgument);
      spec = full();
    }
  }
  SUBCASE("a path that JSON cannot carry") {
    spec.kernel.file = "/images/\xff/vmlinux";
    CHECK(refusal(spec, v1_17) == ErrorCode::InvalidArgument);
  }
}

TEST_CASE("versions are read, ordered, and anything else is refused") {
  CHECK(parse_version("1.15.0") == Version{1, 15, 0});
  CHECK(parse_version("v1.16.1") == Version{1, 16, 1});
  CHECK(parse_version("1.17.0-dev") == Version{1, 17, 0});
  CHECK(parse_version("2.0.0+fuzzing") == Version{2, 0, 0});
  CHECK(parse_version("1.9.1") < parse_version("1.15.0"));
  CHECK(to_string(parse_version("v1.15.3-x")) == "1.15.3");
  for (const char* text :
       {"", "1", "1.2", "1.2.", "1.2.3.4", "1x2x3", "1-2-3", "a.b.c", "1.2.3 ", " 1.2.3", "99999999999.1.1"}) {
    CHECK_THROWS_AS((void)parse_version(text), Error);
  }
}

TEST_CASE("each version's known faults are stepped around in that version only") {
  CHECK_FALSE(loses_vsock_after_restore(v1_15));
  CHECK(loses_vsock_after_restore({1, 16, 0}));
  CHECK_FALSE(loses_vsock_after_restore(v1_16_1));
  CHECK_FALSE(waits_for_reset_after_resume(v1_15));
  CHECK(waits_for_reset_after_resume({1, 16, 0}));
  CHECK(waits_for_reset_after_resume(v1_16_1));
  CHECK_FALSE(waits_for_reset_after_resume(v1_17));
  CHECK(may_drop_first_connection(v1_15));
  CHECK_FALSE(may_drop_first_connection({1, 16, 0}));
}

}  // namespace
}  // namespace fireclaw::vmm::firecracker
