#include "boot/options.hpp"

#include <algorithm>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

constexpr unsigned long max_overlay_mib = 1UL << 24;

bool is_device(std::string_view path) { return path.substr(0, 5) == "/dev/" && path.size() > 5; }

bool is_target(std::string_view path) { return path.size() > 1 && path.front() == '/'; }

/// "/dev/vdc:/workspace[:ro][:type]"
bool parse_mount(std::string_view text, BootOptions::Mount& mount) {
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() < 2 || !is_device(parts[0]) || !is_target(parts[1])) return false;
  mount.device = parts[0];
  mount.target = parts[1];
  for (const std::string_view extra : std::vector(parts.begin() + 2, parts.end())) {
    if (extra == "ro")
      mount.read_only = true;
    else
      mount.type = extra;
  }
  return true;
}

}  // namespace

BootOptions parse_boot_options(std::string_view command_line) {
  constexpr std::string_view prefix = "fireclaw.";
  BootOptions options;
  std::string words{command_line};
  std::replace_if(
      words.begin(), words.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  for (const std::string_view word : split(words, ' ')) {
    if (word.substr(0, prefix.size()) != prefix) continue;
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string_view key = word.substr(prefix.size(), equals - prefix.size());
    const std::string_view value = word.substr(std::min(equals + 1, word.size()));
    bool understood = true;
    if (key == "rootfs") {
      options.rootfs = value;
      understood = !value.empty();
    } else if (key == "root") {
      options.root_device = value;
      understood = is_device(value);
    } else if (key == "overlay_mib") {
      understood = parse_number(value, max_overlay_mib, options.overlay_mib);
    } else if (key == "scratch") {
      options.scratch_device = value;
      understood = is_device(value);
    } else if (key == "mounts") {
      for (const std::string_view text : split(value, ',')) {
        BootOptions::Mount mount;
        understood = parse_mount(text, mount) && understood;
        options.mounts.push_back(std::move(mount));
      }
    } else if (key == "trace") {
      options.trace = value == "1";
    } else {
      understood = false;
    }
    if (!understood)
      options.problems.push_back(cat({"the kernel command line has '", word, "', which makes no sense"}));
  }
  return options;
}

}  // namespace fireclaw::guestd
