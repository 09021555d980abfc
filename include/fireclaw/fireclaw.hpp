#pragma once

/// @file
/// All of the public API.
///
/// @mainpage
/// libfireclaw runs commands and long-lived agents in microVMs, with Firecracker on KVM and with QEMU everywhere.
///
/// @code
/// fireclaw::HostOptions options;
/// options.home = "/home/me/.fireclaw";
/// const auto host = fireclaw::Host::open(options);
/// std::cout << fireclaw::run(host, "uname -a").out;
///
/// auto vm = host.vms().run({});
/// vm.write_file("/tmp/list", "one\ntwo\n");
/// std::cout << vm.exec("wc -l /tmp/list").out;
/// @endcode
///
/// Everything is made from a fireclaw::Host: machines (host.vms(), host.machines()), their images and saved states
/// (host.images(), host.snapshots()), disks that outlive them (host.workspaces()), the network that they share
/// (host.network(), host.gateway(), host.secrets()), agents (host.agents()) and the LLMs that they can ask
/// (host.llm_servers()).
///
/// **Ownership.** Handles are move-only, unless their class says that they are names. They share the host's insides and
/// can be destroyed in any order. A machine ends with its handle unless it is detached. Configurations and infos are
/// plain structs. Configurations can be compared; timeouts and stop tokens, which belong to one call, are in options.
///
/// **Threads.** Every call that takes time blocks. Several threads can call at once, and several processes can use one
/// home folder. Callbacks run on the thread that made the call. A std::stop_token cancels the call that it was passed
/// to.
///
/// **Errors.** A call that fails throws fireclaw::Error, which has a fireclaw::ErrorCode. "Error(NotFound)" in these
/// pages means one with ErrorCode::NotFound. Any call can throw Io, Vmm, Guest or Corrupt, also where its comment does
/// not name them. Expected outcomes (an exit status, a timeout that was asked for) are values, not exceptions.
///
/// **Units** are in names (memory_mib, size_bytes) or in types (std::chrono).

/// The public API.
namespace fireclaw {}

#include "fireclaw/agent.hpp"
#include "fireclaw/backup.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/copy.hpp"
#include "fireclaw/engine.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/exec.hpp"
#include "fireclaw/file.hpp"
#include "fireclaw/gateway.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/image.hpp"
#include "fireclaw/llm.hpp"
#include "fireclaw/log.hpp"
#include "fireclaw/machine.hpp"
#include "fireclaw/network.hpp"
#include "fireclaw/pool.hpp"
#include "fireclaw/service.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/version.hpp"
#include "fireclaw/vm.hpp"
#include "fireclaw/workspace.hpp"
