#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::state {

/// 1 to 64 letters, digits, . _ -
bool is_secret_name(std::string_view text);

/// Keys and passwords by name: secrets.json, which its owner alone can read. Any number of processes may use it at
/// once.
class SecretStore {
 public:
  using Secrets = std::map<std::string, std::string, std::less<>>;

  SecretStore(std::filesystem::path file, std::filesystem::path lock_file);

  /// Empty if there is no file. Error(PermissionDenied) if others could read it; Error(Corrupt) naming it.
  [[nodiscard]] Secrets read() const;
  /// Replaces one of that name. Error(InvalidArgument) for a name that cannot be, or a value that is not 1 to 8192
  /// printable ASCII characters. No error repeats the value.
  void set(const std::string& name, std::string_view value) const;
  /// False if there was none.
  bool remove(std::string_view name) const;

 private:
  void write(const Secrets& secrets) const;

  std::filesystem::path file_;
  std::filesystem::path lock_file_;
};

}  // namespace fireclaw::state
