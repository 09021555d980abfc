#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "guest/tree/tree.hpp"

/// Shared by the reader and the writer of file trees: names, and the words of failures.
namespace fireclaw::guest {

/// "cannot open 'x': no such file or directory".
Failure failure(int error, std::string_view doing, std::string_view name);
/// "'x' is a folder".
Failure refused(int error, std::string_view name, std::string_view why);

/// openat() with O_CLOEXEC, within the base if that confines.
int open_at(Base base, const std::string& path, int flags);

/// "a/b" is {"a", "b"}, "b" is {".", "b"}, "/b" is {"/", "b"}.
std::pair<std::string_view, std::string_view> split_path(std::string_view path);

}  // namespace fireclaw::guest
