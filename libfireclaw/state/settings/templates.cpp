#include "state/settings/templates.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "state/settings/bot_fields.hpp"
#include "state/settings/sandbox.hpp"
#include "sys/file.hpp"

namespace fireclaw::state {
namespace {

constexpr std::size_t max_file_bytes = std::size_t{1} << 20;

void check_between(const json::Value& value, std::uint64_t low, std::uint64_t high) {
  const auto number = value.as_uint();
  if (number < low || number > high) value.fail(fmt::format("must be a whole number from {} to {}", low, high));
}

void check_all_texts(const json::Value& value) {
  for (const auto& item : value.as_array()) static_cast<void>(item.as_string());
}

/// Each field that a template may have.
void check_field(std::string_view name, const json::Value& value) {
  if (name == "schema") {
    if (value.as_uint() != 1) value.fail("this fireclaw reads schema 1");
  } else if (name == "description" || name == "image") {
    static_cast<void>(value.as_string());
  } else if (name == "nick") {
    if (!is_agent_name(value.as_string()))
      value.fail("must be 1 to 30 letters, digits, - or _, beginning with a letter");
  } else if (name == "model") {
    check_model(value);
  } else if (name == "persona") {
    check_persona(value);
  } else if (name == "trigger") {
    check_trigger(value);
  } else if (name == "tools") {
    check_tools(value);
  } else if (name == "channels") {
    check_channels(value);
  } else if (name == "operators") {
    check_masks(value);
  } else if (name == "invite_policy") {
    check_invite_policy(value);
  } else if (name == "log_level") {
    check_log_level(value);
  } else if (name == "peers") {
    check_peers(value);
  } else if (name == "limits") {
    check_limits(value);
  } else if (name == "irc") {
    check_irc(value);
  } else if (name == "llm") {
    check_llm(value);
  } else if (name == "cpus") {
    check_between(value, 1, 32);
  } else if (name == "memory_mib") {
    check_between(value, 64, 1'048'576);
  } else if (name == "workspace_mib") {
    check_between(value, 16, 1'048'576);
  } else if (name == "scratch_mib") {
    check_between(value, 64, 1'048'576);
  } else if (name == "disk_mib_per_second" || name == "network_mib_per_second") {
    check_between(value, 1, most_mib_per_second);
  } else if (name == "network") {
    const auto& mode = value.as_string();
    if (mode != "nat" && mode != "user" && mode != services_network) {
      value.fail("must be \"services\", \"nat\" or \"user\"");
    }
  } else if (name == "egress") {
    const auto& egress = value.as_string();
    if (egress != "none" && egress != "allowlist" && egress != "internet") {
      value.fail("must be \"none\", \"allowlist\" or \"internet\"");
    }
  } else if (name == "allow" || name == "allow_http" || name == "publish") {
    check_all_texts(value);
  } else {
    value.fail("unknown field");
  }
}

}  // namespace

std::string Template::text(std::string_view field, std::string fallback) const {
  const auto found = value.find(field);
  return found ? found->as_string() : std::move(fallback);
}

std::uint64_t Template::number(std::string_view field, std::uint64_t fallback) const {
  const auto found = value.find(field);
  return found ? found->as_uint() : fallback;
}

std::vector<std::string> Template::texts(std::string_view field) const {
  std::vector<std::string> all;
  if (const auto found = value.find(field)) {
    for (const auto& item : found->as_array()) all.push_back(item.as_string());
  }
  return all;
}

std::string Template::egress() const { return text("egress", texts("allow_http").empty() ? "internet" : "none"); }

bool Template::tools() const {
  const auto found = value.find("tools");
  if (!found) return false;
  if (!found->is_object()) return found->as_bool();
  const auto enabled = found->find("enabled");
  return !enabled || enabled->as_bool();
}

Template parse_template(std::string name, std::string_view text, std::filesystem::path file) {
  const auto where = file.empty() ? fmt::format("built-in template '{}'", name) : file.native();
  try {
    auto value = json::Value::parse(text, where);
    for (const auto& [field, member] : value.as_object()) {
      if (!member.is_null()) check_field(field, member);
    }
    const auto network = value.find("network");
    if (network && network->is_string() && network->as_string() == services_network) {
      for (const std::string_view field : {"egress", "allow", "allow_http", "publish"}) {
        const auto member = value.find(field);
        if (member && !member->is_null()) member->fail("does not go with the network \"services\"; use \"nat\"");
      }
    }
    for (const std::string_view required : {"nick", "model", "persona"}) static_cast<void>(value.at(required));
    return {std::move(name), std::move(file), std::move(value)};
  } catch (const Error& problem) {
    throw Error{ErrorCode::InvalidArgument, problem.what()};
  }
}

std::optional<Template> TemplateStore::find(const std::string& name) const {
  if (!is_agent_name(name)) return std::nullopt;
  const auto file = directory_ / (name + ".json");
  if (std::filesystem::exists(file)) return parse_template(name, sys::read_file(file, max_file_bytes), file);
  for (const auto& [built_in, text] : built_in_templates()) {
    if (built_in == name) return parse_template(name, text, {});
  }
  return std::nullopt;
}

std::vector<Template> TemplateStore::list() const {
  std::set<std::string> names;
  for (const auto& built_in : built_in_templates()) names.emplace(built_in.first);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    if (entry.path().extension() == ".json") names.insert(entry.path().stem().native());
  }
  std::vector<Template> all;
  for (const auto& name : names) {
    try {
      if (auto found = find(name)) {
        all.push_back(std::move(*found));
      } else {
        logger_.warning(
            fmt::format("{}: the file's name must be 1 to 30 letters, digits, - or _, beginning with a letter",
                        (directory_ / (name + ".json")).native()));
      }
    } catch (const Error& problem) {
      logger_.warning(problem.what());
    }
  }
  return all;
}

bool TemplateStore::write_built_in() const {
  bool any = false;
  for (const auto& [name, text] : built_in_templates()) {
    const auto file = directory_ / fmt::format("{}.json", name);
    if (std::filesystem::exists(file)) continue;
    sys::write_file_atomic(file, text, 0644);
    any = true;
  }
  return any;
}

}  // namespace fireclaw::state
