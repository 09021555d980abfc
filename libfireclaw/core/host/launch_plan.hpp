#pragma once

#include <string>
#include <string_view>

#include "core/host/confinement.hpp"
#include "core/host/impl.hpp"
#include "fireclaw/vm.hpp"
#include "guest/session.hpp"
#include "image/store/store.hpp"
#include "state/records/snapshots.hpp"
#include "vmm/driver.hpp"

namespace fireclaw::core {

/// The properties of a machine that a snapshot depends on, beside engine and image.
struct Shape {
  unsigned cpus = 1;
  unsigned memory_mib = 128;
  /// Has a network device. What it is connected to is not part of the shape.
  bool nic = false;

  bool operator==(const Shape&) const = default;
};

/// Error(InvalidArgument) naming the limit, or Error(Unsupported) if the engine cannot do it.
void check_shape(const Shape& shape, const vmm::Capabilities& capabilities, const std::string& engine);

/// The machine that runs `image` under `host`'s runs/<id>, on an engine with these capabilities, as `user` (borrowed
/// until it is started; null: the caller). Makes the engine's folder, empty.
vmm::LaunchSpec make_launch_spec(const Host::Impl& host, const image::Entry& image, const Shape& shape,
                                 const std::string& id, bool die_with_parent, const vmm::Capabilities& capabilities,
                                 const EngineUser* user);

state::SnapshotKey make_key(const vmm::Driver& driver, const image::Entry& image, const Shape& shape);

/// A fresh identity, without the settings of a network device.
guest::Identity make_identity(const std::string& hostname);

/// Error(InvalidArgument) unless `name` is an RFC 1123 label.
void check_hostname(std::string_view name);

}  // namespace fireclaw::core
