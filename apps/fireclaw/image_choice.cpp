#include "image_choice.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "output.hpp"

namespace fireclaw::cli {
namespace {

constexpr std::string_view registry_scheme = "docker://";
constexpr std::size_t longest_name = 64;

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/// As skopeo names it. Without one of its schemes it is a registry's.
std::string full_reference(std::string_view reference) {
  constexpr std::array<std::string_view, 7> schemes{
      "docker://", "oci:", "oci-archive:", "docker-archive:", "dir:", "containers-storage:", "docker-daemon:"};
  const bool full = std::ranges::any_of(schemes, [&](auto scheme) { return reference.starts_with(scheme); });
  return full ? std::string{reference} : fmt::format("{}{}", registry_scheme, reference);
}

std::optional<ImageInfo> find_image(const Host& host, const std::string& name) {
  try {
    return host.images().info(name);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::NotFound) throw;
    return std::nullopt;
  }
}

std::string image_of(const Host& host, const VMConfig& machine) {
  return machine.snapshot.empty() ? machine.image : host.snapshots().open(machine.snapshot).info().image;
}

}  // namespace

bool names_registry(std::string_view word) {
  const auto slash = word.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == word.size() || word.front() == '.') return false;
  const auto registry = word.substr(0, slash);
  const auto fits = [](char c) {
    return is_alphanumeric(c) || std::string_view{"._-/:@"}.find(c) != std::string::npos;
  };
  return std::ranges::all_of(word, fits) && word.find("//") == std::string_view::npos &&
         (registry == "localhost" || registry.find_first_of(".:") != std::string_view::npos);
}

std::string image_name_of(std::string_view reference) {
  if (reference.starts_with(registry_scheme)) reference.remove_prefix(registry_scheme.size());
  std::string name;
  for (const char c : reference) name += is_alphanumeric(c) || c == '.' || c == '_' ? c : '-';
  name.erase(0, std::min(name.size(), name.find_first_not_of("._-")));
  // Its end says more than its beginning.
  if (name.size() > longest_name) name.erase(0, name.size() - longest_name);
  name.erase(0, std::min(name.size(), name.find_first_not_of("._-")));
  if (name.empty()) throw Error{ErrorCode::InvalidArgument, fmt::format("--pull '{}' is not an image", reference)};
  return name;
}

void ImageChoice::add_to(CLI::App& command) {
  command
      .add_option("--pull", reference_,
                  "Use this OCI image, which its first use fetches with skopeo and builds; a command's first word "
                  "does the same if it names a registry")
      ->type_name("REF");
  command
      .add_option("--entrypoint", entrypoint_,
                  "Run this program instead of the image's entrypoint, with the given arguments; \"\": no entrypoint")
      ->type_name("PROGRAM");
}

void ImageChoice::take_reference(GuestCommand& guest, const Context& context) {
  if (!reference_.empty() || context.argv_form || guest.command.empty() || !names_registry(guest.command.front()))
    return;
  reference_ = std::move(guest.command.front());
  guest.command.erase(guest.command.begin());
  guest.is_program = guest.command.size() > 1;
}

void ImageChoice::pull(const Host& host, VMConfig& machine, const Context& context) const {
  if (reference_.empty()) return;
  if (!machine.snapshot.empty() || machine.image != VMConfig{}.image) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is the image; --image and --snapshot name another", reference_)};
  }
  const auto reference = full_reference(reference_);
  machine.image = image_name_of(reference_);
  if (const auto there = find_image(host, machine.image)) {
    if (there->source.starts_with(reference + "@")) return;
    throw Error{
        ErrorCode::AlreadyExists,
        fmt::format("image '{0}' is there and is made from '{1}', not from '{2}'; use --image {0}, or remove it "
                    "with: fireclaw image remove {0}",
                    machine.image, there->source, reference)};
  }
  ProgressPrinter progress;
  ImageConfig config;
  config.name = machine.image;
  config.root = OciRoot{reference};
  if (find_image(host, VMConfig{}.image)) config.kernel = KernelOfImage{VMConfig{}.image};
  try {
    static_cast<void>(
        host.images().build(config, {[&progress](const Progress& step) { progress(step); }, context.stop}));
  } catch (const Error& problem) {
    progress.finish();
    // Somebody else was faster.
    if (problem.code() != ErrorCode::AlreadyExists) throw;
  }
}

void ImageChoice::complete(const Host& host, const VMConfig& machine, const GuestCommand& guest, const Context& context,
                           ExecOptions& exec) const {
  const bool is_program = context.argv_form || guest.is_program;
  if (entrypoint_) {
    if (!entrypoint_->empty()) {
      exec.argv = {*entrypoint_};
      exec.argv.insert(exec.argv.end(), guest.command.begin(), guest.command.end());
    } else if (exec.argv.empty()) {
      throw Error{ErrorCode::InvalidArgument, "without an entrypoint a command is needed"};
    }
    return;
  }
  if (!is_program && !exec.argv.empty()) return;
  const auto image = host.images().info(image_of(host, machine));
  if (is_program) {
    exec.argv.insert(exec.argv.begin(), image.entrypoint.begin(), image.entrypoint.end());
    return;
  }
  exec.argv = image.command;
  if (exec.argv.empty()) {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("no command was given, and the image '{}' has none; try: fireclaw run \"uname -a\"", image.name)};
  }
}

}  // namespace fireclaw::cli
