#include "image/store/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "sys/digest.hpp"

namespace fireclaw::image {

namespace {

std::string digest_of(const json::Value& value) {
  const std::string& text = value.as_string();
  const bool good = text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                    });
  if (!good) value.fail("expected 64 hexadecimal digits");
  return text;
}

std::string filled(const json::Value& value) {
  if (value.as_string().empty()) value.fail("must not be empty");
  return value.as_string();
}

void write_file_info(json::Writer& writer, std::string_view name, const FileInfo& file) {
  writer.key(name)
      .begin_object()
      .field("sha256", std::string_view{file.sha256})
      .field("bytes", file.bytes)
      .end_object();
}

FileInfo read_file_info(const json::Value& value) {
  value.only({"sha256", "bytes"});
  return FileInfo{digest_of(value.at("sha256")), value.at("bytes").as_uint()};
}

KernelInfo read_kernel(const json::Value& value) {
  value.only({"format", "bus", "release", "sha256", "source"});
  KernelInfo kernel;
  const json::Value format = value.at("format");
  if (format.as_string() == to_string(KernelFormat::Elf)) {
    kernel.format = KernelFormat::Elf;
  } else if (format.as_string() == to_string(KernelFormat::BzImage)) {
    kernel.format = KernelFormat::BzImage;
  } else {
    format.fail("expected 'elf' or 'bzimage'");
  }
  const json::Value bus = value.at("bus");
  if (bus.as_string() == to_string(VirtioBus::Mmio)) {
    kernel.bus = VirtioBus::Mmio;
  } else if (bus.as_string() == to_string(VirtioBus::Pci)) {
    kernel.bus = VirtioBus::Pci;
  } else {
    bus.fail("expected 'mmio' or 'pci'");
  }
  kernel.release = filled(value.at("release"));
  kernel.sha256 = digest_of(value.at("sha256"));
  kernel.source = value.at("source").as_string();
  return kernel;
}

RunDefaults read_defaults(const json::Value& value) {
  value.only({"env", "cwd", "user", "command", "entrypoint_words"});
  RunDefaults defaults;
  for (const json::Value& item : value.at("env").as_array()) {
    const std::string& text = item.as_string();
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) item.fail("expected NAME=VALUE");
    defaults.env.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  defaults.cwd = value.at("cwd").as_string();
  defaults.user = value.at("user").as_string();
  for (const json::Value& item : value.at("command").as_array()) defaults.command.push_back(item.as_string());
  if (const auto words = value.find("entrypoint_words")) {
    defaults.entrypoint_words = words->as_uint();
    if (defaults.entrypoint_words > defaults.command.size()) words->fail("is more than the command has");
  }
  return defaults;
}

}  // namespace

std::string combined_digest(const FileInfo& kernel, const FileInfo& initramfs, const FileInfo& rootfs) {
  return sys::sha256_hex(
      fmt::format("kernel {}\ninitramfs {}\nrootfs {}\n", kernel.sha256, initramfs.sha256, rootfs.sha256));
}

std::string to_json(const Manifest& manifest) {
  json::Writer writer{json::Writer::Style::Pretty};
  writer.begin_object();
  writer.field("schema", Manifest::schema);
  writer.field("name", std::string_view{manifest.name});
  writer.key("kernel").begin_object();
  writer.field("format", to_string(manifest.kernel.format));
  writer.field("bus", to_string(manifest.kernel.bus));
  writer.field("release", std::string_view{manifest.kernel.release});
  writer.field("sha256", std::string_view{manifest.kernel.sha256});
  writer.field("source", std::string_view{manifest.kernel.source});
  writer.end_object();
  writer.key("files").begin_object();
  write_file_info(writer, "kernel", manifest.kernel_file);
  write_file_info(writer, "initramfs", manifest.initramfs);
  write_file_info(writer, "rootfs", manifest.rootfs);
  writer.end_object();
  writer.field("rootfs_type", std::string_view{manifest.rootfs_type});
  writer.field("guestd_version", std::string_view{manifest.guestd_version});
  writer.field("source", std::string_view{manifest.source});
  if (!manifest.recipe.empty()) writer.field("recipe", std::string_view{manifest.recipe});
  writer.key("defaults").begin_object();
  writer.key("env").begin_array();
  for (const auto& [name, value] : manifest.defaults.env) {
    writer.value(std::string_view{fmt::format("{}={}", name, value)});
  }
  writer.end_array();
  writer.field("cwd", std::string_view{manifest.defaults.cwd});
  writer.field("user", std::string_view{manifest.defaults.user});
  writer.key("command").begin_array();
  for (const std::string& word : manifest.defaults.command) writer.value(std::string_view{word});
  writer.end_array();
  writer.field("entrypoint_words", static_cast<std::uint64_t>(manifest.defaults.entrypoint_words));
  writer.end_object();
  writer.field("created", static_cast<std::int64_t>(manifest.created.time_since_epoch().count()));
  writer.field("digest", std::string_view{manifest.digest});
  writer.end_object();
  return writer.take();
}

Manifest read_manifest(const std::filesystem::path& file) {
  const json::Value root = json::Value::parse_file(file);
  // The schema first: the fields of a newer one may be anything.
  const json::Value schema = root.at("schema");
  if (schema.as_uint() > Manifest::schema) {
    schema.fail(
        fmt::format("made by a newer fireclaw (schema {}; this one knows {})", schema.as_uint(), Manifest::schema));
  }
  if (schema.as_uint() != Manifest::schema) schema.fail(fmt::format("unknown schema {}", schema.as_uint()));
  root.only({"schema", "name", "kernel", "files", "rootfs_type", "guestd_version", "source", "recipe", "defaults",
             "created", "digest"});
  Manifest manifest;
  manifest.name = filled(root.at("name"));
  manifest.kernel = read_kernel(root.at("kernel"));
  const json::Value files = root.at("files");
  files.only({"kernel", "initramfs", "rootfs"});
  manifest.kernel_file = read_file_info(files.at("kernel"));
  manifest.initramfs = read_file_info(files.at("initramfs"));
  manifest.rootfs = read_file_info(files.at("rootfs"));
  const json::Value type = root.at("rootfs_type");
  if (type.as_string() != "squashfs" && type.as_string() != "erofs") type.fail("expected 'squashfs' or 'erofs'");
  manifest.rootfs_type = type.as_string();
  manifest.guestd_version = root.at("guestd_version").as_string();
  manifest.source = root.at("source").as_string();
  if (const auto recipe = root.find("recipe")) manifest.recipe = digest_of(*recipe);
  manifest.defaults = read_defaults(root.at("defaults"));
  manifest.created = std::chrono::sys_seconds{std::chrono::seconds{root.at("created").as_int()}};
  const json::Value digest = root.at("digest");
  manifest.digest = digest_of(digest);
  if (manifest.kernel.sha256 != manifest.kernel_file.sha256 ||
      manifest.digest != combined_digest(manifest.kernel_file, manifest.initramfs, manifest.rootfs)) {
    digest.fail("does not belong to the files' digests");
  }
  return manifest;
}

}  // namespace fireclaw::image
