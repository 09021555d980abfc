#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/logger.hpp"
#include "json/json.hpp"

namespace fireclaw::state {

/// A template's network that leads to the gateway's ports alone.
inline constexpr std::string_view services_network = "services";

/// A checked template of agents. What fireclaw acts on is read out; the rest is passed on from `value`.
struct Template {
  std::string name;
  /// Empty: built in.
  std::filesystem::path file;
  json::Value value;

  [[nodiscard]] std::string text(std::string_view field, std::string fallback = {}) const;
  [[nodiscard]] std::uint64_t number(std::string_view field, std::uint64_t fallback) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view field) const;
  /// What it may reach outside with the network "nat". Without a word of it: "internet", or "none" if it names web
  /// servers (allow_http).
  [[nodiscard]] std::string egress() const;
  /// "tools" is true, or an object that does not say {"enabled": false}.
  [[nodiscard]] bool tools() const;
};

/// (name, JSON text) of those that come with the library.
std::vector<std::pair<std::string_view, std::string_view>> built_in_templates();

/// Error(InvalidArgument) naming `where` and the field.
Template parse_template(std::string name, std::string_view text, std::filesystem::path file);

/// The templates of a home folder: its files, and the built-in ones that no file replaces.
class TemplateStore {
 public:
  TemplateStore(std::filesystem::path directory, Logger logger)
      : directory_{std::move(directory)}, logger_{std::move(logger)} {}

  /// Error(InvalidArgument) for a broken file.
  [[nodiscard]] std::optional<Template> find(const std::string& name) const;
  /// By name; broken ones are reported to the log and left out.
  [[nodiscard]] std::vector<Template> list() const;
  /// Writes the built-in templates that have no file yet, for users to change. Returns whether there were any.
  bool write_built_in() const;

 private:
  std::filesystem::path directory_;
  Logger logger_;
};

}  // namespace fireclaw::state
