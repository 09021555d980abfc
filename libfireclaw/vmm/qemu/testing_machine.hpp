#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "sys/file.hpp"
#include "sys/sandbox/sandbox.hpp"
#include "vmm/qemu/driver.hpp"

/// What tests of the driver alone need: a kernel, an initramfs with echo_init, folders, and somebody to talk to it.
namespace fireclaw::vmm::qemu::testing {

/// How engines can be shut in here: all that these tests start are.
const sys::Confinable& confinable();
/// The built-in image of the home folder that the vm tests share. Ends the test program as skipped, saying why, if
/// there is none.
std::filesystem::path image_or_skip();
/// A machine with that image's kernel and modules, and echo_init.
LaunchSpec spec_or_skip(const std::filesystem::path& folder, const std::string& id);
/// The QEMU to test; skipped if there is none.
std::filesystem::path qemu_or_skip();
std::unique_ptr<Driver> make_tcg_driver();

/// Generous: everything here takes a second or two, on a busy machine more.
Deadline soon();

/// Sends a command line and returns the line that comes back.
std::string ask(const sys::Fd& stream, std::string_view command);
/// The same over its own channel.
std::string ask(Instance& machine, std::string_view command);

}  // namespace fireclaw::vmm::qemu::testing
