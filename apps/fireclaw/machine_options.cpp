#include "machine_options.hpp"

#include <string>

#include "common/meaning_of.hpp"
#include "common/text/quantities.hpp"

namespace fireclaw::cli {

void add_machine_options(CLI::App& command, VMConfig& config) {
  command.add_option("--image", config.image, "Image to run (see: fireclaw image list)")
      ->type_name("IMAGE")
      ->capture_default_str();
  command.add_option("--cpus", config.cpus, meaning_of<VMConfig>("cpus"))->type_name("NUMBER")->capture_default_str();
  command
      .add_option_function<std::string>(
          "--memory", [&config](const std::string& text) { config.memory_mib = parse_memory_mib(text); },
          "Memory: MiB, or with a unit as in 512M, 2G")
      ->default_str(std::to_string(config.memory_mib))
      ->type_name("SIZE");
}

void add_disk_options(CLI::App& command, VMConfig& config) {
  command.add_option("--workspace", config.workspace, "Workspace to mount at /workspace")->type_name("WORKSPACE");
  command
      .add_option_function<std::string>(
          "--scratch",
          [&config](const std::string& text) {
            const auto colon = text.find(':');
            config.scratch_mib = parse_memory_mib(text.substr(0, colon));
            if (colon != std::string::npos) config.scratch_target = text.substr(colon + 1);
          },
          "Size of an empty disk, and where to mount it: MiB, or with a unit as in 512M, 2G; default: none, and "
          "/scratch. With :/ writes to the root file system go to the disk instead of memory; the machine then boots")
      ->type_name("SIZE[:PATH]");
  command
      .add_option_function<std::string>(
          "--disk-rate", [&config](const std::string& text) { config.disk_mib_per_second = parse_rate_mib(text); },
          "Limit for what each disk reads and writes together in a second: MiB, or with a unit as in 50M, 1G; "
          "default: limits.disk_mib_per_second in config.json, or no limit")
      ->type_name("SIZE");
}

}  // namespace fireclaw::cli
