#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "image/tools.hpp"

namespace fireclaw::image {

/// debugfs at work on one image, with relative paths on the host looked up in `folder`. It ends with status 0 in any
/// case, and tells of failures only on its standard error, where it otherwise says no more than its version.
class Debugfs {
 public:
  Debugfs(std::filesystem::path image, std::filesystem::path folder, Tools tools);

  /// Its output: each command as it was given after "debugfs: ", then what it printed. `more_bytes`: how much content
  /// is copied, beyond what the image takes on disk; it allows for more time. Error(Corrupt) if it complains.
  [[nodiscard]] std::string read(const std::vector<std::string>& commands, std::uint64_t more_bytes = 0) const;
  /// Runs commands that change the image. Error(Io) if one fails; "is full" if that is why.
  void write(const std::vector<std::string>& commands, std::uint64_t more_bytes) const;

  /// `text` as one word of a command. Error(InvalidArgument) if it cannot be one.
  static std::string quote(std::string_view text);

 private:
  struct Outcome {
    std::string out;
    std::string complaint;
  };
  [[nodiscard]] Outcome run(std::vector<std::string> argv, const std::vector<std::string>& commands,
                            std::uint64_t more_bytes) const;

  std::filesystem::path image_;
  std::filesystem::path folder_;
  Tools tools_;
};

}  // namespace fireclaw::image
