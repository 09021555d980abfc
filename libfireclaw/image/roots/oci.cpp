#include "image/roots/oci.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "image/archives/compression.hpp"
#include "image/roots/rootfs.hpp"
#include "image/tools.hpp"
#include "json/json.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_json_bytes = std::size_t{16} << 20;
constexpr std::string_view ref_name = "org.opencontainers.image.ref.name";
constexpr unsigned max_nested_indexes = 4;

bool is_index(const json::Value& descriptor) {
  const auto type = descriptor.find("mediaType");
  return type && (type->as_string() == "application/vnd.oci.image.index.v1+json" ||
                  type->as_string() == "application/vnd.docker.distribution.manifest.list.v2+json");
}

OciBlob read_descriptor(const json::Value& descriptor) {
  return OciBlob{descriptor.at("digest").as_string(), descriptor.at("size").as_uint()};
}

/// The blob's file, once its size and digest are what the descriptor says.
fs::path check_blob(const fs::path& layout, const OciBlob& blob) {
  constexpr std::string_view algorithm = "sha256:";
  const std::string hex =
      blob.digest.substr(0, algorithm.size()) == algorithm ? blob.digest.substr(algorithm.size()) : "";
  if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw Error{ErrorCode::Unsupported, fmt::format("OCI layout '{}' uses digest '{}'; only sha256 is known here",
                                                    layout.string(), blob.digest)};
  }
  const fs::path file = layout / "blobs" / "sha256" / hex;
  if (!fs::exists(file)) {
    throw Error{ErrorCode::Corrupt, fmt::format("OCI layout '{}' lacks blob {}", layout.string(), blob.digest)};
  }
  if (fs::file_size(file) != blob.bytes || sys::sha256_file(file) != hex) {
    throw Error{ErrorCode::Corrupt, fmt::format("blob '{}' is damaged: size or digest is wrong", file.string())};
  }
  return file;
}

json::Value read_json_blob(const fs::path& layout, const OciBlob& blob) {
  const fs::path file = check_blob(layout, blob);
  return json::Value::parse(sys::read_file(file, max_json_bytes), file.string());
}

std::optional<std::string> tag_of(const json::Value& descriptor) {
  const auto annotations = descriptor.find("annotations");
  if (!annotations) return std::nullopt;
  const auto name = annotations->find(ref_name);
  return name ? std::optional{name->as_string()} : std::nullopt;
}

json::Value choose_tag(const json::Value& index, const fs::path& layout, const std::string& tag) {
  const auto manifests = index.at("manifests").as_array();
  std::string tags;
  for (const json::Value& descriptor : manifests) {
    const auto name = tag_of(descriptor);
    if (!tag.empty() && name == tag) return descriptor;
    if (name) tags += (tags.empty() ? "" : ", ") + *name;
  }
  if (tag.empty() && manifests.size() == 1) return manifests.front();
  if (manifests.empty()) throw Error{ErrorCode::NotFound, fmt::format("OCI layout '{}' is empty", layout.string())};
  throw Error{ErrorCode::NotFound, tag.empty()
                                       ? fmt::format("OCI layout '{}' holds several images ({}); name one: oci:{}:TAG",
                                                     layout.string(), tags, layout.string())
                                       : fmt::format("OCI layout '{}' has no image '{}'; it has: {}", layout.string(),
                                                     tag, tags.empty() ? "none with a name" : tags)};
}

/// Whether `platform`, a descriptor's or an image's configuration, names what runs here.
bool is_here(const json::Value& platform) {
  const auto os = platform.find("os");
  const auto architecture = platform.find("architecture");
  return os && os->as_string() == "linux" && architecture && architecture->as_string() == "amd64";
}

/// The entry of an index of platforms that runs here. A descriptor need not name its platform: then it is what the
/// image's configuration says.
json::Value choose_platform(const json::Value& index, const fs::path& layout) {
  const auto manifests = index.at("manifests").as_array();
  for (const json::Value& descriptor : manifests) {
    const auto platform = descriptor.find("platform");
    if (platform && is_here(*platform)) return descriptor;
  }
  std::optional<json::Value> nested;
  for (const json::Value& descriptor : manifests) {
    if (descriptor.find("platform")) continue;
    if (is_index(descriptor)) {
      if (!nested) nested = descriptor;
      continue;
    }
    const auto manifest = read_json_blob(layout, read_descriptor(descriptor));
    const auto config = manifest.find("config");
    if (config && is_here(read_json_blob(layout, read_descriptor(*config)))) return descriptor;
  }
  if (nested) return *nested;
  throw Error{ErrorCode::Unsupported, fmt::format("the image in '{}' is not there for linux/amd64", layout.string())};
}

std::vector<std::string> words(const std::optional<json::Value>& list) {
  std::vector<std::string> result;
  if (!list) return result;
  for (const json::Value& word : list->as_array()) result.push_back(word.as_string());
  return result;
}

RunDefaults read_config(const json::Value& config, const fs::path& layout) {
  const auto os = config.find("os");
  const auto architecture = config.find("architecture");
  if ((os && os->as_string() != "linux") || (architecture && architecture->as_string() != "amd64")) {
    throw Error{ErrorCode::Unsupported,
                fmt::format("the image in '{}' is for {}/{}; this fireclaw runs linux/amd64", layout.string(),
                            os ? os->as_string() : "linux", architecture ? architecture->as_string() : "?")};
  }
  RunDefaults defaults;
  const auto run = config.find("config");
  if (!run) return defaults;
  for (const std::string& item : words(run->find("Env"))) {
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    std::string name = item.substr(0, equals);
    // If a variable is there twice, the last counts, as in runc.
    std::erase_if(defaults.env, [&](const auto& earlier) { return earlier.first == name; });
    defaults.env.emplace_back(std::move(name), item.substr(equals + 1));
  }
  if (const auto cwd = run->find("WorkingDir")) defaults.cwd = cwd->as_string();
  if (!defaults.cwd.empty()) defaults.cwd = ("/" / fs::path{defaults.cwd}).lexically_normal().string();
  if (const auto user = run->find("User")) defaults.user = user->as_string();
  defaults.command = words(run->find("Entrypoint"));
  defaults.entrypoint_words = defaults.command.size();
  for (std::string& word : words(run->find("Cmd"))) defaults.command.push_back(std::move(word));
  return defaults;
}

/// "oci:DIR[:TAG]" -> (DIR, TAG); nullopt for what only skopeo understands.
std::optional<std::pair<fs::path, std::string>> local_layout(const std::string& reference) {
  constexpr std::string_view scheme = "oci:";
  if (reference.compare(0, scheme.size(), scheme) != 0) return std::nullopt;
  const std::string rest = reference.substr(scheme.size());
  const std::size_t colon = rest.find(':');
  return std::pair{fs::path{rest.substr(0, colon)},
                   colon == std::string::npos ? std::string{} : rest.substr(colon + 1)};
}

/// This machine's policy, /etc/containers/policy.json, says whose signatures are needed.
fs::path fetch_with_skopeo(const std::string& reference, const RootContext& context) {
  const std::size_t colon = reference.find(':');
  if (colon == std::string::npos || colon == 0 || reference.front() == '-') {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("'{}' is not an image reference; say oci:DIR[:TAG], oci-archive:FILE or docker://NAME", reference)};
  }
  const Tools& tools = context.tools;
  if (context.step) context.step(fmt::format("fetch {}", reference));
  const fs::path layout = tools.temp / "oci";
  std::vector<std::string> argv{tools.require("skopeo", "skopeo").string()};
  argv.insert(argv.end(), {"--override-os", "linux", "--override-arch", "amd64", "--tmpdir", tools.temp.string(),
                           "copy", "--quiet", reference, fmt::format("oci:{}:image", layout.string())});
  const auto result = sys::run_tool(std::move(argv), tools.options());
  if (!result.status.success()) {
    throw Error{ErrorCode::Io, fmt::format("skopeo could not fetch '{}': {}", reference, one_line(result.err))};
  }
  return layout;
}

/// The layer's members; its unpacked tar stays in the work folder.
std::vector<TarEntry> read_layer(const fs::path& layout, const OciBlob& blob, std::size_t index, UnpackLimit& limit,
                                 const Tools& tools) {
  const fs::path file = check_blob(layout, blob);
  auto opened = std::make_shared<sys::Fd>(sys::open_file(file, O_RDONLY));
  // An empty blob is a layer without members; as a tar file it would be torn.
  if (blob.bytes == 0) return {};
  const Compression compression = sniff_compression(file);
  if (compression != Compression::None) {
    const fs::path unpacked = tools.temp / fmt::format("layer-{}.tar", index);
    const sys::Fd output = sys::open_file(unpacked, O_WRONLY | O_CREAT | O_EXCL);
    decompress(compression, opened->get(), output.get(), fmt::format("layer {} ({})", index + 1, blob.digest), limit,
               tools);
    opened = std::make_shared<sys::Fd>(sys::open_file(unpacked, O_RDONLY));
  }
  return read_tar(opened, file.string());
}

}  // namespace

OciImage read_oci_layout(const fs::path& layout, const std::string& tag) {
  const fs::path index_file = layout / "index.json";
  if (!fs::exists(index_file)) {
    throw Error{ErrorCode::NotFound, fmt::format("no OCI layout at '{}' (no index.json in it)", layout.string())};
  }
  json::Value descriptor = choose_tag(json::Value::parse_file(index_file), layout, tag);
  for (unsigned depth = 0; is_index(descriptor); ++depth) {
    if (depth == max_nested_indexes) descriptor.fail("too many indexes within each other");
    descriptor = choose_platform(read_json_blob(layout, read_descriptor(descriptor)), layout);
  }
  OciImage image;
  const OciBlob manifest_blob = read_descriptor(descriptor);
  image.manifest_digest = manifest_blob.digest;
  const json::Value manifest = read_json_blob(layout, manifest_blob);
  image.defaults = read_config(read_json_blob(layout, read_descriptor(manifest.at("config"))), layout);
  for (const json::Value& layer : manifest.at("layers").as_array()) image.layers.push_back(read_descriptor(layer));
  return image;
}

void apply_layer(Tree& tree, std::vector<TarEntry> entries) {
  constexpr std::string_view whiteout = ".wh.";
  constexpr std::string_view opaque = ".wh..wh..opq";
  std::vector<TarEntry> kept;
  for (TarEntry& entry : entries) {
    std::string_view path = entry.path;
    while (!path.empty() && path.back() == '/') path.remove_suffix(1);
    const std::size_t slash = path.rfind('/');
    const std::string folder{slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash)};
    const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
    if (name == opaque) {
      tree.clear(folder);
    } else if (name.substr(0, whiteout.size()) == whiteout) {
      const std::string_view hidden = name.substr(whiteout.size());
      if (hidden.empty() || hidden == "." || hidden == "..") {
        throw Error{ErrorCode::Corrupt, fmt::format("a layer has the whiteout '{}', which names no file", path)};
      }
      tree.remove(fmt::format("{}/{}", folder, hidden));
    } else {
      kept.push_back(std::move(entry));
    }
  }
  add_entries(tree, std::move(kept));
}

LoadedRoot read_oci(const Oci& source, const RootContext& context) {
  const auto local = local_layout(source.reference);
  const fs::path layout = local ? local->first : fetch_with_skopeo(source.reference, context);
  const OciImage image = read_oci_layout(layout, local ? local->second : "image");
  LoadedRoot root;
  root.source = fmt::format("{}@{}", source.reference, image.manifest_digest);
  root.defaults = image.defaults;
  UnpackLimit limit{context.tools.temp, 0};
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    context.tools.check_stop();
    if (context.step) context.step(fmt::format("layer {} of {}", i + 1, image.layers.size()));
    apply_layer(root.tree, read_layer(layout, image.layers[i], i, limit, context.tools));
  }
  // A working directory that no layer brings is made, as Docker and runc do when a container starts.
  if (!root.defaults.cwd.empty() && !root.tree.find(root.defaults.cwd)) root.tree.directory(root.defaults.cwd);
  return root;
}

}  // namespace fireclaw::image
