#include "init.hpp"

#include <string>

#include "boot/boot.hpp"
#include "boot/options.hpp"
#include "init_machine.hpp"
#include "ports.hpp"
#include "processes/services.hpp"
#include "server.hpp"
#include "text.hpp"
#include "vsock.hpp"

namespace fireclaw::guestd {
namespace {

/// Says how long the steps of the boot took, if asked to.
class Trace {
 public:
  explicit Trace(bool on) : on_{on}, last_{now_ms()} {}
  void step(std::string_view what) {
    if (!on_) return;
    const std::int64_t now = now_ms();
    log({what, ": ", std::to_string(now - last_), " ms, at ", std::to_string(now), " ms"});
    last_ = now;
  }

 private:
  const bool on_;
  std::int64_t last_;
};

}  // namespace

void run_as_init() {
  boot_kernel_mounts();
  std::string command_line;
  read_file("/proc/cmdline", command_line);
  const BootOptions options = parse_boot_options(command_line);
  for (const std::string& problem : options.problems) log({problem});
  Trace trace{options.trace};
  Uevents uevents;
  boot_modules();
  trace.step("modules");
  DiskMounts disks = boot_root(options, uevents);
  trace.step("root");
  boot_environment();
  trace.step("environment");

  Loop loop;
  InitMachine machine{loop, std::move(disks)};
  Server server{loop, machine.services()};
  const Ports ports{loop, server, machine, uevents};
  const Vsock vsock{loop, server, machine};
  trace.step("channels");
  for (;;) {
    server.run_once(machine.deadline());
    machine.advance();
  }
}

}  // namespace fireclaw::guestd
