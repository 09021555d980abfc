#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "image/tools.hpp"

namespace fireclaw::image {

/// A kernel module's description in its .modinfo section.
struct ModuleInfo {
  std::vector<std::string> depends;
  /// Soft dependencies to load before, if they are there.
  std::vector<std::string> before;

  bool operator==(const ModuleInfo&) const = default;
};

/// Reads a module's (uncompressed) bytes. Error(Corrupt) if they are not a module.
ModuleInfo read_module_info(std::string_view bytes, std::string_view name);

/// Removes the signature at a module's end, if there is one.
void strip_signature(std::string& bytes);

/// Names as the kernel compares them: '-' and '_' are the same.
std::string module_name(std::string_view name);

/// A module ready for an initramfs.
struct LoadedModule {
  std::string name;
  /// Relative to the modules' folder: "kernel/drivers/virtio/virtio.ko", without a compression suffix.
  std::string path;
  std::string bytes;
};

/// The modules of one kernel: a /lib/modules/<release>. Dependencies are read from the modules themselves, because a
/// folder fresh from a package has no modules.dep yet (depmod makes it at installation).
class ModuleTree {
 public:
  /// Error(NotFound) if the folder is not there, Error(InvalidArgument) if no module is in it.
  ModuleTree(std::filesystem::path directory, Tools tools);

  [[nodiscard]] bool is_builtin(std::string_view name) const { return builtin_.count(module_name(name)) > 0; }
  [[nodiscard]] bool has_file(std::string_view name) const { return files_.count(module_name(name)) > 0; }
  [[nodiscard]] bool provides(std::string_view name) const { return is_builtin(name) || has_file(name); }

  /// `wanted` (those of them that are modules here) and all they depend on, each once, in an order in which they
  /// can be loaded. Error(Corrupt) if a dependency is missing or they depend on each other.
  [[nodiscard]] std::vector<LoadedModule> resolve(const std::vector<std::string>& wanted) const;

 private:
  enum class Mark { Open, Done };
  void visit(const std::string& name, std::map<std::string, Mark>& marks, std::vector<LoadedModule>& order) const;
  [[nodiscard]] std::string read(const std::filesystem::path& file) const;

  std::filesystem::path directory_;
  Tools tools_;
  std::map<std::string, std::filesystem::path> files_;
  std::set<std::string> builtin_;
};

}  // namespace fireclaw::image
