// Prints every request that the engine can make, one JSON object a line, for check_requests.py.
#include <cstdio>

#include "json/json.hpp"
#include "vmm/firecracker/requests.hpp"

namespace {

using namespace fireclaw;
namespace fc = vmm::firecracker;

void print(const fc::Version& version, const http::Request& request) {
  json::Writer line;
  line.begin_object()
      .field("engine", fc::to_string(version))
      .field("method", request.method)
      .field("path", request.target)
      .field("body", request.body)
      .end_object();
  std::puts(line.take().c_str());
}

vmm::LaunchSpec machine(bool initramfs, int drives, int nics, KernelFormat format, VirtioBus bus) {
  vmm::LaunchSpec spec;
  spec.id = "run-1";
  spec.run_dir = "/runs/run-1";
  spec.kernel = {"/images/a \"b\"/kernel", format, bus};
  if (initramfs) spec.initramfs = "/images/a/initramfs";
  spec.cmdline = "fireclaw.rootfs=squashfs";
  for (int i = 0; i < drives; ++i) {
    spec.drives.push_back(
        {"drive_" + std::to_string(i), "/d/" + std::to_string(i), i % 2 == 0, static_cast<std::uint64_t>(i) << 20});
  }
  for (int i = 0; i < nics; ++i) {
    spec.nics.push_back(
        {"eth" + std::to_string(i), i == 0 ? "" : "02:fc:00:00:00:01", vmm::TapBackend{"fctap" + std::to_string(i)}});
  }
  spec.vcpus = static_cast<unsigned>(drives) + 1;
  spec.memory_mib = 128;
  return spec;
}

}  // namespace

int main() {
  const vmm::SnapshotFiles files{"/s/state", "/s/memory"};
  for (const fc::Version version : {fc::Version{1, 15, 0}, {1, 15, 2}, {1, 16, 0}, {1, 16, 1}, {1, 17, 0}, {2, 0, 0}}) {
    for (const bool initramfs : {false, true}) {
      for (const int drives : {0, 1, 3}) {
        for (const int nics : {0, 1, 2}) {
          const auto format = fc::boots_bzimage(version) ? KernelFormat::BzImage : KernelFormat::Elf;
          const auto spec = machine(initramfs, drives, nics, format, VirtioBus::Mmio);
          for (const http::Request& request : fc::to_requests(spec, version)) print(version, request);
          for (const http::Request& request : fc::to_restore_requests(spec, files, version)) print(version, request);
        }
      }
    }
    for (const http::Request& request : {fc::to_create_request(files), fc::pause_request(), fc::resume_request(),
                                         fc::describe_request(), fc::version_request()}) {
      print(version, request);
    }
  }
}
