#include "image/roots/bootstrap.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <system_error>

#include "fireclaw/error.hpp"
#include "image/namespaces.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

/// Debian's lists of security updates say that they are valid for a week: nobody should continue with older ones.
constexpr std::chrono::hours kept_for{7 * 24};
constexpr std::string_view kept_prefix = "debian-root-";
constexpr std::string_view unfinished_prefix = ".debian-root-";

/// Suites, packages and mirrors become words of a command line; none may pass for an option or a list of words.
void check_word(std::string_view word, std::string_view what) {
  const bool good = !word.empty() && word.front() != '-' && std::all_of(word.begin(), word.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != ',' && c != '\'' && c != '"' && c != '\\';
  });
  if (!good) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' cannot be a {}", word, what)};
}

std::string join(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : ",") + word;
  return result;
}

/// mmdebstrap reports "I: installing packages..."; those lines are its steps.
std::string_view step_in(std::string_view line) {
  return line.substr(0, 3) == "I: " ? line.substr(3) : std::string_view{};
}

/// The lines of mmdebstrap's chatter that say what went wrong.
std::string complaints_in(std::string_view text) {
  std::string reason;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (line.substr(0, 3) == "E: " || line.substr(0, 5) == "Err: ") {
      reason += fmt::format("{}{}", reason.empty() ? "" : "; ", line);
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return reason;
}

/// The words that decide what the root will hold.
std::vector<std::string> wanted(const BootstrapRequest& request) {
  std::vector<std::string> words{"--variant=minbase", "--format=tar"};
  words.insert(words.end(), request.options.begin(), request.options.end());
  if (!request.packages.empty()) words.push_back("--include=" + join(request.packages));
  return words;
}

void run_mmdebstrap(const BootstrapRequest& request, const fs::path& archive, const RootContext& context) {
  const Tools& tools = context.tools;
  const std::string mmdebstrap = tools.require("mmdebstrap", "mmdebstrap").string();
  std::vector<std::string> argv = namespaced(tools);
  const bool is_root_inside = !argv.empty() || ::geteuid() == 0;
  if (!is_root_inside && !sys::find_program("fakechroot", tools.search_path)) {
    throw Error{
        ErrorCode::PermissionDenied,
        "making a Debian root as an ordinary user takes a user namespace with sub-ids, which cannot be had here; "
        "run: apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 YOU (as "
        "root), or build the image as root"};
  }
  // Root in a user namespace of our own can do what root can; without one, mmdebstrap has its own ways (fakechroot).
  argv.insert(argv.end(), {mmdebstrap, is_root_inside ? "--mode=root" : "--mode=auto"});
  for (std::string& word : wanted(request)) argv.push_back(std::move(word));
  argv.insert(argv.end(), {request.suite, archive.string()});
  if (!request.mirror.empty()) argv.push_back(request.mirror);

  sys::ToolOptions options = tools.options();
  options.on_line = [&](std::string_view line) {
    if (const auto step = step_in(line); !step.empty() && context.step) context.step(fmt::format("debian: {}", step));
  };
  const sys::ToolResult result = sys::run_tool(std::move(argv), options);
  if (result.status.success()) return;
  const std::string reason = complaints_in(result.err);
  throw Error{ErrorCode::Io,
              fmt::format("mmdebstrap could not make Debian '{}': {}; check the suite's and the packages' names and "
                          "that the mirror can be reached",
                          request.suite, reason.empty() ? result.status.describe() : reason)};
}

/// The name under which a root is kept: all that decides what is in it, but for the date.
fs::path place_for(const BootstrapRequest& request, const fs::path& cache) {
  utsname machine{};
  ::uname(&machine);
  std::string text = fmt::format("{}\n{}\n{}\n", machine.machine, request.suite, request.mirror);
  for (const std::string& word : wanted(request)) text += word + '\n';
  return cache / fmt::format("{}{}-{}.tar", kept_prefix, request.suite, sys::sha256_hex(text).substr(0, 16));
}

bool is_fresh(const fs::path& file) {
  std::error_code error;
  const auto written = fs::last_write_time(file, error);
  return !error && fs::file_time_type::clock::now() - written < kept_for;
}

/// Roots that no build will use again, and what killed builds left beside them.
void drop_stale(const fs::path& cache) {
  for (const fs::directory_entry& entry : fs::directory_iterator{cache}) {
    const std::string name = entry.path().filename().string();
    const bool ours = name.starts_with(kept_prefix) || name.starts_with(unfinished_prefix);
    if (ours && !is_fresh(entry.path())) sys::remove_tree(entry.path());
  }
}

}  // namespace

fs::path bootstrap_debian(const BootstrapRequest& request, const RootContext& context) {
  check_word(request.suite, "Debian suite");
  for (const std::string& package : request.packages) check_word(package, "package name");
  if (!request.mirror.empty()) check_word(request.mirror, "mirror");

  if (context.cache.empty()) {
    fs::path archive = context.tools.temp / "rootfs.tar";
    run_mmdebstrap(request, archive, context);
    return archive;
  }
  fs::path kept = place_for(request, context.cache);
  if (is_fresh(kept)) {
    if (context.step) context.step("debian: from the cache");
    return kept;
  }
  drop_stale(context.cache);
  // Others may look for it at any moment: it appears whole.
  const sys::TempDir unfinished{context.cache, unfinished_prefix};
  const fs::path archive = unfinished.path() / "rootfs.tar";
  run_mmdebstrap(request, archive, context);
  fs::rename(archive, kept);
  return kept;
}

void neutralize(Tree& tree) {
  for (const char* path : {"etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname", "etc/resolv.conf"}) {
    tree.remove(path);
  }
  tree.file("etc/machine-id", 0444, "");
  tree.file("etc/hostname", 0644, "fireclaw\n");
  tree.file("etc/hosts", 0644, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n");
  tree.file("etc/resolv.conf", 0644, "");
}

Tree make_debian_root(const Debian& source, const RootContext& context) {
  Tree tree =
      read_tar_root(bootstrap_debian({source.suite, source.packages, source.mirror, {}}, context), context.tools);
  neutralize(tree);
  return tree;
}

}  // namespace fireclaw::image
