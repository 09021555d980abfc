#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::sys::testing {

/// What a thread does to the files below a folder, in the order of its calls, from construction to destruction:
///
///     create NAME   write NAME   sync NAME   rename NAME -> NAME   exchange NAME <-> NAME   link NAME   remove NAME
///
/// Names are relative to the folder, which is "."; 16 hexadecimal digits in a row are "*"; equal neighbours are one.
/// A test program that links file_calls.cpp has functions in it that stand before those of the C library.
/// One at a time for a thread; calls of other threads are not seen.
class FileCalls {
 public:
  /// `look` is called after each of the calls, as a reader that comes at that moment.
  explicit FileCalls(const std::filesystem::path& folder, std::function<void()> look = {});
  FileCalls(const FileCalls&) = delete;
  FileCalls& operator=(const FileCalls&) = delete;
  ~FileCalls();

  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }
  /// Only the lines that contain one of `words`.
  [[nodiscard]] std::vector<std::string> lines_with(const std::vector<std::string_view>& words) const;

  /// From now on renames are as on a file system that knows none of their flags.
  void forget_rename_flags() { knows_rename_flags_ = false; }
  [[nodiscard]] bool knows_rename_flags() const { return knows_rename_flags_; }

  /// A call of one of the functions in file_calls.cpp. `first` and `second` are absolute.
  void note(std::string_view verb, const std::filesystem::path& first, std::string_view arrow = {},
            const std::filesystem::path& second = {});

 private:
  [[nodiscard]] std::string name_of(const std::filesystem::path& path) const;

  std::filesystem::path folder_;
  std::function<void()> look_;
  std::vector<std::string> lines_;
  bool knows_rename_flags_ = true;
};

}  // namespace fireclaw::sys::testing
