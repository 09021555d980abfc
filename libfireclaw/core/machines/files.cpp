#include <utility>

#include "core/machines/impl.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw {
namespace {

/// Asks the guest, over the session that is open or a new one, with the image's user where none is named.
template <typename Ask>
auto with_files(VM::Impl& vm, const FileOptions& options, const Ask& ask) {
  auto completed = options;
  if (completed.user.empty()) completed.user = vm.image.manifest.defaults.user;
  const auto deadline = Deadline::after(std::chrono::nanoseconds{vm.waiting.timeout});
  const auto session = vm.session(deadline, options.stop);
  try {
    return ask(*session, std::as_const(completed));
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::Guest) throw;
    throw vm.explain(problem);
  }
}

}  // namespace

std::string VM::read_file(const std::string& path, const FileOptions& options) {
  return with_files(*impl_, options, [&](auto& guest, const auto& with) { return guest.read_file(path, with); });
}

FileInfo VM::write_file(const std::string& path, std::string_view content, const FileOptions& options) {
  return with_files(*impl_, options,
                    [&](auto& guest, const auto& with) { return guest.write_file(path, content, with); });
}

std::vector<FileInfo> VM::list_directory(const std::string& path, const FileOptions& options) {
  return with_files(*impl_, options, [&](auto& guest, const auto& with) { return guest.list_directory(path, with); });
}

FileInfo VM::stat(const std::string& path, const FileOptions& options) {
  return with_files(*impl_, options, [&](auto& guest, const auto& with) { return guest.stat(path, with); });
}

void VM::remove(const std::string& path, const FileOptions& options) {
  with_files(*impl_, options, [&](auto& guest, const auto& with) { guest.remove(path, with); });
}

void VM::make_directory(const std::string& path, const FileOptions& options) {
  with_files(*impl_, options, [&](auto& guest, const auto& with) { guest.make_directory(path, with); });
}

}  // namespace fireclaw
