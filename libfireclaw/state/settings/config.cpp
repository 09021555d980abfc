#include "state/settings/config.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "json/record.hpp"
#include "state/settings/bot_fields.hpp"
#include "state/settings/gateway.hpp"
#include "sys/file.hpp"

namespace fireclaw::state {

void describe(auto& field, json::Is<Config::Engine> auto& entry) {
  field("engine", entry.verdict.engine);
  field("binary", entry.verdict.binary);
  field("version", entry.verdict.version);
  field("cpu_model", entry.verdict.cpu_model);
  field("kernel_release", entry.verdict.kernel_release);
  field("kernel_sha256", entry.verdict.kernel_sha256);
  field("works", entry.verdict.works);
  field("reason", entry.verdict.reason);
  field("boot_time_ms", entry.verdict.boot_time);
  field("binary_bytes", entry.binary_bytes);
  field("binary_mtime_ns", entry.binary_mtime_ns);
}

namespace {

constexpr std::string_view refuse = "refuse";

bool read_emulation(const json::Value& value) {
  const auto text = value.as_string();
  if (text != refuse && text != "allow") value.fail("must be \"allow\" or \"refuse\"");
  return text == refuse;
}

void check_llm_section(const json::Value& value, const std::filesystem::path& file) {
  json::Writer told;
  told.begin_object();
  told.key("llm");
  told.begin_object();
  for (const auto& [name, member] : value.as_object()) {
    if (name == llm_url_by) {
      static_cast<void>(member.as_string());
    } else {
      told.key(name).value(member);
    }
  }
  told.end_object();
  told.end_object();
  check_llm(json::Value::parse(told.take(), file.native()).at("llm"));
}

struct Stamp {
  std::uint64_t bytes = 0;
  std::int64_t mtime_ns = 0;
};

Stamp stamp_of(const std::filesystem::path& binary) {
  struct stat info {};
  if (::stat(binary.c_str(), &info) != 0) return {};
  return {static_cast<std::uint64_t>(info.st_size),
          std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

}  // namespace

Config read_config(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return {};
  const auto value = json::Value::parse_file(file);
  json::RecordReader{value}.schema(Config::schema);
  value.only({"schema", "engines", "set_up_by", "confinement", "network", "sandbox", "limits", "emulation", "irc",
              "llm", "gateway"});
  Config config;
  config.set_up_by = value.at("set_up_by").as_string();
  for (const auto& entry : value.at("engines").as_array())
    config.engines.push_back(json::read_whole_record<Config::Engine>(entry));
  if (const auto section = value.find("network")) config.network = read_network_settings(*section);
  if (const auto section = value.find("sandbox")) config.sandbox = read_sandbox_settings(*section);
  if (const auto section = value.find("limits")) config.limits = read_limit_settings(*section);
  if (const auto text = value.find("emulation")) config.refuse_emulation = read_emulation(*text);
  if (const auto section = value.find("confinement")) config.confinement = read_confinable(*section);
  config.irc = value.find("irc");
  if (config.irc) check_irc(*config.irc);
  config.llm = value.find("llm");
  if (config.llm) check_llm_section(*config.llm, file);
  config.gateway = value.find("gateway");
  if (config.gateway) static_cast<void>(read_gateway_settings(*config.gateway));
  return config;
}

void write_config(const std::filesystem::path& file, const Config& config) {
  json::Writer out{json::Writer::Style::Pretty};
  out.begin_object();
  out.field("schema", Config::schema);
  out.field("set_up_by", config.set_up_by);
  out.key("engines").begin_array();
  for (const auto& entry : config.engines) json::write_record(out, entry);
  out.end_array();
  if (config.confinement) write_confinable(out, *config.confinement);
  write_network_settings(out, config.network);
  write_sandbox_settings(out, config.sandbox);
  write_limit_settings(out, config.limits);
  if (config.refuse_emulation) out.field("emulation", refuse);
  if (config.irc) out.key("irc").value(*config.irc);
  if (config.llm) out.key("llm").value(*config.llm);
  if (config.gateway) out.key("gateway").value(*config.gateway);
  out.end_object();
  sys::write_file_atomic(file, out.take());
}

void put_verdict(Config& config, Config::Engine entry) {
  std::erase_if(config.engines, [&](const Config::Engine& other) {
    return other.verdict.engine == entry.verdict.engine && other.verdict.kernel_sha256 == entry.verdict.kernel_sha256;
  });
  config.engines.push_back(std::move(entry));
}

Config::Engine stamp(EngineVerdict verdict) {
  const auto now = stamp_of(verdict.binary);
  return {std::move(verdict), now.bytes, now.mtime_ns};
}

bool is_current(const Config::Engine& entry) {
  const auto now = stamp_of(entry.verdict.binary);
  return now.bytes == entry.binary_bytes && now.mtime_ns == entry.binary_mtime_ns && now.bytes != 0;
}

}  // namespace fireclaw::state
