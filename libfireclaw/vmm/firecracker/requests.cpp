#include "vmm/firecracker/requests.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "json/json.hpp"

namespace fireclaw::vmm::firecracker {

namespace {

constexpr unsigned max_vcpus = 32;
/// Any number from 3 on would do: host and guest are alone on this vsock.
constexpr unsigned guest_cid = 3;

/// What Firecracker takes as a resource's id. ASCII only, regardless of the locale.
bool is_resource_id(std::string_view id) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), fits);
}

bool is_instance_id(std::string_view id) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), fits);
}

[[noreturn]] void refuse(ErrorCode code, std::string text) { throw Error{code, std::move(text)}; }

/// Paths travel in JSON, which holds no other bytes than UTF-8: a replaced byte would name another file.
std::string path_text(const std::filesystem::path& path) {
  const std::string& text = path.native();
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t length = utf8_length(rest);
    if (length == 0) {
      refuse(ErrorCode::InvalidArgument,
             fmt::format("'{}' is not UTF-8, and Firecracker takes no other paths; move the file", text));
    }
    rest.remove_prefix(length);
  }
  return text;
}

http::Request put(std::string target, json::Writer& writer) { return {"PUT", std::move(target), writer.take()}; }

std::string with_id(std::string_view resource, std::string_view id) { return fmt::format("/{}/{}", resource, id); }

const TapBackend& tap_of(const Nic& nic) {
  const auto* tap = std::get_if<TapBackend>(&nic.backend);
  if (tap == nullptr) {
    refuse(ErrorCode::Unsupported,
           fmt::format("firecracker has no user-mode network for '{}'; use a tap, no network (--net none), or another "
                       "engine (--engine qemu)",
                       nic.id));
  }
  return *tap;
}

http::Request machine_request(const LaunchSpec& spec) {
  json::Writer body;
  body.begin_object().field("vcpu_count", spec.vcpus).field("mem_size_mib", spec.memory_mib).end_object();
  return put("/machine-config", body);
}

http::Request boot_request(const LaunchSpec& spec) {
  json::Writer body;
  body.begin_object().field("kernel_image_path", path_text(spec.kernel.file));
  if (!spec.initramfs.empty()) body.field("initrd_path", path_text(spec.initramfs));
  body.field("boot_args", to_boot_args(spec)).end_object();
  return put("/boot-source", body);
}

/// The bucket holds a second's bytes.
void write_rate(json::Writer& body, const Drive& drive) {
  if (drive.bytes_per_second == 0) return;
  body.key("rate_limiter").begin_object().key("bandwidth").begin_object();
  body.field("size", drive.bytes_per_second).field("refill_time", 1000U).end_object().end_object();
}

http::Request drive_request(const Drive& drive) {
  json::Writer body;
  // Not the root device in Firecracker's sense, which would only add root=/dev/vda to the command line.
  body.begin_object()
      .field("drive_id", drive.id)
      .field("path_on_host", drive_link(drive))
      .field("is_root_device", false)
      .field("is_read_only", drive.read_only);
  write_rate(body, drive);
  body.end_object();
  return put(with_id("drives", drive.id), body);
}

http::Request nic_request(const Nic& nic) {
  json::Writer body;
  body.begin_object().field("iface_id", nic.id).field("host_dev_name", tap_of(nic).name);
  if (!nic.mac.empty()) body.field("guest_mac", nic.mac);
  body.end_object();
  return put(with_id("network-interfaces", nic.id), body);
}

http::Request vsock_request() {
  json::Writer body;
  body.begin_object().field("guest_cid", guest_cid).field("uds_path", file::vsock).end_object();
  return put("/vsock", body);
}

/// One that is never inflated: the guest tells by it which memory it has freed, and the host gets that back.
http::Request balloon_request() {
  json::Writer body;
  body.begin_object()
      .field("amount_mib", 0U)
      .field("deflate_on_oom", false)
      .field("free_page_reporting", true)
      .end_object();
  return put("/balloon", body);
}

http::Request state_request(std::string_view state) {
  json::Writer body;
  body.begin_object().field("state", state).end_object();
  return {"PATCH", "/vm", body.take()};
}

}  // namespace

std::string drive_link(const Drive& drive) { return fmt::format("drive_{}", drive.id); }

void check_spec(const LaunchSpec& spec, const Version& version) {
  if (!is_instance_id(spec.id)) {
    refuse(ErrorCode::InvalidArgument,
           fmt::format("'{}' is not a machine id: 1 to 64 letters, digits and '-'", spec.id));
  }
  if (spec.vcpus < 1 || spec.vcpus > max_vcpus) {
    refuse(ErrorCode::InvalidArgument, fmt::format("firecracker takes 1 to {} CPUs, not {}", max_vcpus, spec.vcpus));
  }
  if (spec.memory_mib == 0) refuse(ErrorCode::InvalidArgument, "a machine needs memory; 0 MiB is none");
  if (spec.kernel.format == KernelFormat::BzImage && !boots_bzimage(version)) {
    refuse(ErrorCode::Unsupported,
           fmt::format("firecracker {} boots no bzImage ('{}'); use the vmlinux inside it, or Firecracker 1.17",
                       to_string(version), spec.kernel.file.string()));
  }
  if (spec.kernel.bus == VirtioBus::Pci && trusts_guests_too_much(version)) {
    refuse(ErrorCode::Unsupported,
           fmt::format("firecracker {} lets a guest misuse its PCI bus, which '{}' needs; use 1.15.1 or newer",
                       to_string(version), spec.kernel.file.string()));
  }
  for (const Drive& drive : spec.drives) {
    if (!is_resource_id(drive.id)) {
      refuse(ErrorCode::InvalidArgument, fmt::format("'{}' is not a drive id: letters, digits and '_'", drive.id));
    }
  }
  for (const Nic& nic : spec.nics) {
    if (!is_resource_id(nic.id)) {
      refuse(ErrorCode::InvalidArgument, fmt::format("'{}' is not an interface id: letters, digits and '_'", nic.id));
    }
    (void)tap_of(nic);
  }
}

std::vector<std::string> to_argv(const std::filesystem::path& binary, const LaunchSpec& spec) {
  std::vector<std::string> argv{binary.string(),
                                "--api-sock",
                                std::string{file::api_socket},
                                "--id",
                                spec.id,
                                "--log-path",
                                std::string{file::log},
                                "--level",
                                "Warning",
                                "--show-level",
                                "--metrics-path",
                                std::string{file::metrics}};
  if (spec.kernel.bus == VirtioBus::Pci) argv.emplace_back("--enable-pci");
  return argv;
}

std::string to_boot_args(const LaunchSpec& spec) {
  // The spec's own words first: of two equal options the kernel takes the last.
  std::string args = spec.cmdline;
  // One UART, not none, so that a panic and guestd's last words are seen: with "quiet" nothing else is written to it,
  // and what is costs time by the character. Its output is bounded on the host's side (see text_pipe.hpp).
  // A reboot through the keyboard controller is what ends the process; powering off does not.
  for (const std::string_view word : {"console=ttyS0", "8250.nr_uarts=1", "reboot=k", "panic=-1", "quiet", "loglevel=1",
                                      "i8042.noaux", "i8042.nokbd", "clocksource=kvm-clock"}) {
    if (!args.empty()) args += ' ';
    args += word;
  }
  return args;
}

std::vector<http::Request> to_requests(const LaunchSpec& spec, const Version& version) {
  check_spec(spec, version);
  std::vector<http::Request> requests;
  requests.push_back(machine_request(spec));
  requests.push_back(boot_request(spec));
  for (const Drive& drive : spec.drives) requests.push_back(drive_request(drive));
  for (const Nic& nic : spec.nics) requests.push_back(nic_request(nic));
  requests.push_back(vsock_request());
  if (!trusts_guests_too_much(version)) {
    requests.push_back({"PUT", "/entropy", "{}"});
    requests.push_back(balloon_request());
  }
  json::Writer start;
  start.begin_object().field("action_type", "InstanceStart").end_object();
  requests.push_back(put("/actions", start));
  return requests;
}

http::Request to_load_request(const LaunchSpec& spec, const SnapshotFiles& files, const Version& version) {
  check_spec(spec, version);
  json::Writer body;
  body.begin_object().field("snapshot_path", path_text(files.state));
  body.key("mem_backend")
      .begin_object()
      .field("backend_type", "File")
      .field("backend_path", path_text(files.memory))
      .end_object();
  body.field("resume_vm", true);
  if (!spec.nics.empty()) {
    body.key("network_overrides").begin_array();
    for (const Nic& nic : spec.nics) {
      body.begin_object().field("iface_id", nic.id).field("host_dev_name", tap_of(nic).name).end_object();
    }
    body.end_array();
  }
  if (has_vsock_override(version)) {
    body.key("vsock_override").begin_object().field("uds_path", file::vsock).end_object();
  }
  // Not clock_realtime: it would move the guest's monotonic clock by the snapshot's age, so that all its timers fire
  // at once and its watchdogs see a stall. guestd sets the wall clock when it is configured, and that alone.
  body.end_object();
  return put("/snapshot/load", body);
}

std::vector<http::Request> to_restore_requests(const LaunchSpec& spec, const SnapshotFiles& files,
                                               const Version& version) {
  std::vector requests{to_load_request(spec, files, version)};
  for (const Drive& drive : spec.drives) {
    if (drive.bytes_per_second == 0) continue;
    json::Writer body;
    body.begin_object().field("drive_id", drive.id);
    write_rate(body, drive);
    body.end_object();
    requests.push_back({"PATCH", with_id("drives", drive.id), body.take()});
  }
  return requests;
}

http::Request to_create_request(const SnapshotFiles& files) {
  json::Writer body;
  body.begin_object()
      .field("snapshot_type", "Full")
      .field("snapshot_path", path_text(files.state))
      .field("mem_file_path", path_text(files.memory))
      .end_object();
  return put("/snapshot/create", body);
}

http::Request pause_request() { return state_request("Paused"); }
http::Request resume_request() { return state_request("Resumed"); }
http::Request describe_request() { return {"GET", "/", {}}; }
http::Request version_request() { return {"GET", "/version", {}}; }

}  // namespace fireclaw::vmm::firecracker
