#include "image/namespaces.hpp"

#include <unistd.h>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

std::vector<std::string> namespaced(const Tools& tools) {
  const auto unshare = sys::find_program("unshare", tools.search_path);
  if (!unshare) return {};
  std::vector<std::string> words{unshare->string(), "--mount", "--pid", "--fork", "--kill-child"};
  if (::geteuid() != 0) words.insert(words.end(), {"--user", "--map-root-user", "--map-auto"});
  // Whether it works depends on the kernel's settings, on /etc/subuid, on newuidmap and on the container around us:
  // only trying tells.
  std::vector<std::string> trial = words;
  trial.push_back("true");
  if (!sys::run_tool(std::move(trial), tools.options()).status.success()) return {};
  return words;
}

void remove_namespaced_tree(const std::filesystem::path& path, const Tools& tools) {
  try {
    sys::remove_tree(path);
    return;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::PermissionDenied) throw;
    std::vector<std::string> argv = namespaced(tools);
    if (argv.empty()) throw;
    argv.insert(argv.end(), {"rm", "-rf", "--", path.string()});
    sys::check_tool(std::move(argv), tools.options());
  }
}

}  // namespace fireclaw::image
