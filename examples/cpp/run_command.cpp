// Runs a shell line in its own machine. Shows its output as it appears, and exits with its exit status.
//
// usage: run_command [LINE]        e.g. run_command 'uname -a; ls /none'

#include <chrono>
#include <iostream>

#include <fireclaw/fireclaw.hpp>

#include "open_host.hpp"

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  try {
    fireclaw::VMConfig config;
    config.memory_mib = 128;
    auto vm = open_host().vms().run(config);  // Restored from the snapshot that `fireclaw setup` made.

    auto command = fireclaw::ExecOptions::shell(argc > 1 ? argv[1] : "uname -a");
    command.timeout = 30s;
    command.on_stdout = [](std::string_view bytes) { std::cout << bytes << std::flush; };
    command.on_stderr = [](std::string_view bytes) { std::cerr << bytes; };
    const auto result = vm.exec(command);

    if (result.timed_out) std::cerr << "it did not end within 30 s\n";
    return result.exit_code;
  } catch (const fireclaw::Error& error) {
    std::cerr << "run_command: " << error.what() << '\n';
    return 125;
  }
}  // The machine ends with its handle.
