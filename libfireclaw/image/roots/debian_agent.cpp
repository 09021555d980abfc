#include "image/roots/debian_agent.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "fireclaw/error.hpp"
#include "image/roots/bootstrap.hpp"
#include "image/roots/python.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view program_folder = "usr/lib/fireclaw/agent";
constexpr std::string_view home = "home/agent";
constexpr std::uint32_t agent_id = 1000;

// What the agent is offered, by purpose. minbase has bash, coreutils, grep, sed, tar and gzip already.
constexpr std::array packages{
    // Chosen so that what depends on one of several does not draw in a larger one: usrmerge wants all of Perl.
    "usr-is-merged",
    "gpg",
    // the bot and its tools
    "python3",
    "ca-certificates",
    "curl",
    "file",
    "git",
    "iproute2",
    "iputils-ping",
    "jq",
    "less",
    "procps",
    "unzip",
    "xz-utils",
    // fireclaw agent ssh
    "dropbear-bin",
    // containers: what podman only recommends must be named
    "catatonit",
    "crun",
    "netavark",
    "podman",
    "slirp4netns",
    "uidmap",
};

// The network of containers is slirp4netns, which takes its own tap; their layers are an overlay, as every root is.
constexpr std::array modules{"tun"};

// What nobody reads in a machine without a reader.
constexpr std::array left_out{"/usr/share/man/*",      "/usr/share/info/*",    "/usr/share/groff/*", "/usr/share/doc/*",
                              "/usr/share/locale/*/*", "/usr/share/lintian/*", "/usr/share/bug/*"};
constexpr const char* left_in = "/usr/share/doc/*/copyright";

/// What users are known by: a line for each file.
constexpr std::array<std::pair<const char*, const char*>, 6> user_lines{{
    {"etc/passwd", "agent:x:1000:1000:fireclaw agent:/home/agent:/bin/bash\n"},
    {"etc/group", "agent:x:1000:\n"},
    {"etc/shadow", "agent:*:1::::::\n"},
    {"etc/gshadow", "agent:*::\n"},
    {"etc/subuid", "agent:100000:65536\n"},
    {"etc/subgid", "agent:100000:65536\n"},
}};

/// What fireclaw adds: a path in the image -> a file on this host.
std::map<std::string, fs::path> additions(const fs::path& agent) {
  std::map<std::string, fs::path> files;
  if (!fs::exists(agent / "bot" / "__main__.py") || !fs::is_directory(agent / "root")) {
    throw Error{ErrorCode::NotFound,
                fmt::format("no agent at '{}'; build or install fireclaw completely", agent.string())};
  }
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator{agent / "bot"}) {
    if (entry.path().extension() != ".py") continue;
    files.emplace(fmt::format("{}/{}", program_folder, entry.path().lexically_relative(agent).string()), entry.path());
  }
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator{agent / "root"}) {
    if (entry.is_regular_file()) files.emplace(entry.path().lexically_relative(agent / "root").string(), entry.path());
  }
  return files;
}

unsigned mode_of(const fs::path& file) {
  return (fs::status(file).permissions() & fs::perms::owner_exec) != fs::perms::none ? 0755 : 0644;
}

BootstrapRequest request_for(const DebianAgent& source) {
  BootstrapRequest request{source.suite, {packages.begin(), packages.end()}, source.mirror, {}};
  request.packages.insert(request.packages.end(), source.packages.begin(), source.packages.end());
  for (const char* pattern : left_out) request.options.push_back(fmt::format("--dpkgopt=path-exclude={}", pattern));
  request.options.push_back(fmt::format("--dpkgopt=path-include={}", left_in));
  return request;
}

void append(Tree& tree, const std::string& path, std::string_view line) {
  const auto found = tree.find(path);
  Node node = found ? *found : Node{};
  std::string text = found ? read_content(node, path) : std::string{};
  text += line;
  if (!found) node.mode = 0644;
  node.type = NodeType::File;
  node.bytes = text.size();
  node.content = std::move(text);
  tree.add(path, std::move(node));
}

/// A folder that is the agent's own.
void give(Tree& tree, std::string_view path, unsigned mode) {
  Node node;
  node.mode = mode;
  node.uid = agent_id;
  node.gid = agent_id;
  tree.add(path, std::move(node));
}

}  // namespace

LoadedRoot make_agent_root(const DebianAgent& source, const RootContext& context) {
  const auto files = additions(context.agent);
  LoadedRoot root;
  root.source = "debian-agent:" + source.suite;
  // What somebody has added can only be added again by them.
  for (const auto& package : source.packages) root.source += "+" + package;
  root.recipe = agent_recipe(source, context.agent);
  root.tree = read_tar_root(bootstrap_debian(request_for(source), context), context.tools);
  Tree& tree = root.tree;
  neutralize(tree);
  for (const auto& [path, line] : user_lines) append(tree, path, line);
  give(tree, home, 0700);
  give(tree, "workspace", 0755);
  for (const auto& [path, file] : files) tree.file(path, mode_of(file), sys::read_file(file));
  if (context.step) context.step("compile the bot");
  compile_python(tree, std::string{program_folder}, context.tools);
  return root;
}

std::vector<std::string> agent_modules() { return {modules.begin(), modules.end()}; }

std::string agent_recipe(const DebianAgent& source, const fs::path& agent) {
  const BootstrapRequest request = request_for(source);
  std::string text = fmt::format("suite {}\nmirror {}\n", request.suite, request.mirror);
  for (const std::string& package : request.packages) text += fmt::format("package {}\n", package);
  for (const std::string& option : request.options) text += fmt::format("option {}\n", option);
  for (const auto& [path, line] : user_lines) text += fmt::format("line {} {}", path, line);
  for (const auto& [path, file] : additions(agent)) {
    text += fmt::format("file {} {:o} {}\n", path, mode_of(file), sys::sha256_file(file));
  }
  return sys::sha256_hex(text);
}

}  // namespace fireclaw::image
