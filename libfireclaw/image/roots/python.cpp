#include "image/roots/python.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "fireclaw/error.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

/// Where a root file system keeps what its Python takes to run.
struct Python {
  /// "usr/lib/python3.11"
  std::string library;
  /// "usr/bin/python3.11"
  std::string program;
  /// The folder of the C library: "usr/lib/x86_64-linux-gnu".
  std::string libraries;
  /// The program that loads programs: "ld-linux-x86-64.so.2", in `libraries`.
  std::string loader;
};

std::string_view name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_in(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.substr(0, folder.size()) == folder && path[folder.size()] == '/';
}

Python find_python(const Tree& tree) {
  Python python;
  for (const auto& [path, node] : tree.nodes()) {
    const std::string_view name = name_of(path);
    if (path.rfind("usr/lib/python3.", 0) == 0 && name == "os.py" && python.library.empty()) {
      python.library = path.substr(0, path.size() - name.size() - 1);
      python.program = fmt::format("usr/bin/{}", name_of(python.library));
    }
    // The C library's loader, under its own name beside it.
    if (path.rfind("usr/lib/", 0) == 0 && name.rfind("ld-linux", 0) == 0 && node->type == NodeType::File) {
      python.loader = name;
      python.libraries = path.substr(0, path.size() - name.size() - 1);
    }
  }
  if (python.library.empty() || python.loader.empty() || !tree.find(python.program)) {
    throw Error{ErrorCode::InvalidArgument, "there is no Python in the root file system"};
  }
  return python;
}

/// Writes a file of the tree to the same place below `root`, symbolic links followed.
void put_on_disk(const Tree& tree, const std::string& path, const fs::path& root) {
  const auto node = tree.find(path);
  if (!node || node->type != NodeType::File) return;
  const fs::path target = root / path;
  sys::make_directories(target.parent_path());
  const sys::Fd file = sys::open_file(target, O_WRONLY | O_CREAT | O_EXCL, 0700);
  sys::write_all(file.get(), read_content(*node, path));
}

}  // namespace

void compile_python(Tree& tree, const std::string& folder, const Tools& tools) {
  const Python python = find_python(tree);
  const sys::TempDir stage{tools.temp, "python-"};
  const fs::path& root = stage.path();
  // None of it runs inside the image: the loader is told where its libraries are, and Python where its own are. So
  // neither a chroot is needed nor any privilege.
  for (const auto& [path, node] : tree.nodes()) {
    const bool library = is_in(path, python.libraries) && path.rfind('/') == python.libraries.size() &&
                         name_of(path).find(".so") != std::string_view::npos;
    const bool module = is_in(path, python.library) && path.ends_with(".py");
    if (library || module || is_in(path, folder)) put_on_disk(tree, path, root);
  }
  put_on_disk(tree, python.program, root);

  sys::ToolOptions options = tools.options();
  options.env.push_back("PYTHONHOME=" + (root / "usr").string());
  options.env.emplace_back("PYTHONDONTWRITEBYTECODE=1");
  const fs::path libraries = root / python.libraries;
  sys::check_tool({(libraries / python.loader).string(), "--library-path", libraries.string(),
                   (root / python.program).string(), "-S", "-m", "compileall", "-q", "-f", "--invalidation-mode",
                   "unchecked-hash", "-s", root.string(), "-p", "/", (root / folder).string()},
                  options);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator{root / folder}) {
    if (entry.path().extension() != ".pyc") continue;
    tree.file(entry.path().lexically_relative(root).generic_string(), 0644, sys::read_file(entry.path()));
  }
}

}  // namespace fireclaw::image
