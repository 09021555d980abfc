#include "schema.hpp"

#include <fmt/format.h>

#include <cctype>
#include <limits>
#include <map>
#include <vector>

namespace fake {

namespace {

enum class Type { Text, Flag, Byte, Natural, Large, Variant, Mac, Struct, List, Anything };

struct Field {
  std::string name;
  Type type;
  bool required = false;
  /// The variants, or the name of the structure.
  std::vector<std::string> words = {};
  Version since = {1, 0, 0};
};
using Fields = std::vector<Field>;

const Field rate_limiter{"rate_limiter", Type::Struct, false, {"RateLimiter"}};

/// The fields in the order in which Firecracker lists them.
const std::map<std::string, Fields, std::less<>>& structures() {
  static const std::map<std::string, Fields, std::less<>> all{
      {"BootSource", {{"kernel_image_path", Type::Text, true}, {"initrd_path", Type::Text}, {"boot_args", Type::Text}}},
      {"MachineConfig",
       {{"vcpu_count", Type::Byte, true},
        {"mem_size_mib", Type::Natural, true},
        {"smt", Type::Flag},
        {"cpu_template", Type::Variant, false, {"C3", "T2", "T2S", "T2CL", "T2A", "V1N1", "None"}},
        {"track_dirty_pages", Type::Flag},
        {"huge_pages", Type::Variant, false, {"None", "Transparent", "2M"}}}},
      {"Drive",
       {{"drive_id", Type::Text, true},
        {"partuuid", Type::Text},
        {"is_root_device", Type::Flag, true},
        {"cache_type", Type::Variant, false, {"Unsafe", "Writeback"}},
        {"is_read_only", Type::Flag},
        {"path_on_host", Type::Text},
        rate_limiter,
        {"io_engine", Type::Variant, false, {"Sync", "Async"}},
        {"socket", Type::Text}}},
      {"DrivePatch", {{"drive_id", Type::Text, true}, {"path_on_host", Type::Text}, rate_limiter}},
      {"NetworkInterface",
       {{"iface_id", Type::Text, true},
        {"host_dev_name", Type::Text, true},
        {"guest_mac", Type::Mac},
        {"rx_rate_limiter", Type::Struct, false, {"RateLimiter"}},
        {"tx_rate_limiter", Type::Struct, false, {"RateLimiter"}},
        {"mtu", Type::Natural, false, {}, {1, 17, 0}}}},
      {"Vsock", {{"vsock_id", Type::Text}, {"guest_cid", Type::Natural, true}, {"uds_path", Type::Text, true}}},
      {"Entropy", {rate_limiter}},
      {"Balloon",
       {{"amount_mib", Type::Natural, true},
        {"deflate_on_oom", Type::Flag, true},
        {"stats_polling_interval_s", Type::Natural},
        {"free_page_hinting", Type::Flag},
        {"free_page_reporting", Type::Flag}}},
      {"BalloonUpdate", {{"amount_mib", Type::Natural, true}}},
      {"Logger",
       {{"log_path", Type::Text},
        {"level", Type::Text},
        {"show_level", Type::Flag},
        {"show_log_origin", Type::Flag},
        {"module", Type::Text}}},
      {"Metrics",
       {{"metrics_path", Type::Text, true},
        {"emit_id", Type::Flag, false, {}, {1, 17, 0}},
        {"properties", Type::Anything, false, {}, {1, 17, 0}}}},
      {"Action", {{"action_type", Type::Variant, true, {"FlushMetrics", "InstanceStart", "SendCtrlAltDel"}}}},
      {"Vm", {{"state", Type::Variant, true, {"Paused", "Resumed"}}}},
      {"SnapshotCreate",
       {{"snapshot_type", Type::Variant, false, {"Full", "Diff"}},
        {"snapshot_path", Type::Text, true},
        {"mem_file_path", Type::Text, true}}},
      {"SnapshotLoad",
       {{"snapshot_path", Type::Text, true},
        {"mem_file_path", Type::Text},
        {"mem_backend", Type::Struct, false, {"MemoryBackend"}},
        {"enable_diff_snapshots", Type::Flag},
        {"track_dirty_pages", Type::Flag},
        {"resume_vm", Type::Flag},
        {"network_overrides", Type::List, false, {"NetworkOverride"}, {1, 12, 0}},
        {"vsock_override", Type::Struct, false, {"VsockOverride"}, {1, 16, 0}},
        {"clock_realtime", Type::Flag, false, {}, {1, 16, 0}},
        {"huge_pages", Type::Variant, false, {"Snapshot", "None", "Transparent", "2M"}, {1, 17, 0}}}},
      {"MemoryBackend", {{"backend_type", Type::Variant, true, {"File", "Uffd"}}, {"backend_path", Type::Text, true}}},
      {"NetworkOverride", {{"iface_id", Type::Text, true}, {"host_dev_name", Type::Text, true}}},
      {"VsockOverride", {{"uds_path", Type::Text, true}}},
      {"RateLimiter",
       {{"bandwidth", Type::Struct, false, {"TokenBucket"}}, {"ops", Type::Struct, false, {"TokenBucket"}}}},
      {"TokenBucket",
       {{"size", Type::Large, true}, {"one_time_burst", Type::Large}, {"refill_time", Type::Large, true}}},
  };
  return all;
}

std::string expected(const std::vector<std::string>& names) {
  if (names.size() == 1) return fmt::format("expected `{}`", names[0]);
  if (names.size() == 2) return fmt::format("expected `{}` or `{}`", names[0], names[1]);
  std::string list;
  for (const std::string& name : names) list += fmt::format("{}`{}`", list.empty() ? "" : ", ", name);
  return "expected one of " + list;
}

std::string describe(const Json& value) {
  switch (value.kind) {
    case Json::Kind::Null: return "null";
    case Json::Kind::Bool: return fmt::format("boolean `{}`", value.boolean);
    case Json::Kind::Number: return fmt::format("integer `{}`", value.text);
    case Json::Kind::String: return fmt::format("string \"{}\"", value.text);
    case Json::Kind::Array: return "sequence";
    case Json::Kind::Object: return "map";
  }
  return {};
}

class Reader {
 public:
  explicit Reader(const Version& version) : version_{version} {}

  void structure(std::string_view name, const Json& value) const {
    if (value.kind != Json::Kind::Object) wrong_type(value, fmt::format("struct {}", name));
    const Fields fields = known_fields(name);
    for (const Member& member : value.members) {
      const Field* field = find(fields, member.name);
      if (field == nullptr) {
        std::vector<std::string> names;
        for (const Field& known : fields) names.push_back(known.name);
        throw JsonError{
            at_column(fmt::format("unknown field `{}`, {}", member.name, expected(names)), member.name_end)};
      }
      check(*field, member.value, value);
    }
    for (const Field& field : fields) {
      if (field.required && value.find(field.name) == nullptr) {
        throw JsonError{at_column(fmt::format("missing field `{}`", field.name), value.end)};
      }
    }
  }

 private:
  [[nodiscard]] Fields known_fields(std::string_view name) const {
    Fields fields;
    for (const Field& field : structures().find(name)->second) {
      if (version_ >= field.since) fields.push_back(field);
    }
    return fields;
  }
  static const Field* find(const Fields& fields, std::string_view name) {
    for (const Field& field : fields) {
      if (field.name == name) return &field;
    }
    return nullptr;
  }
  [[noreturn]] static void wrong_type(const Json& value, std::string_view wanted) {
    throw JsonError{at_column(fmt::format("invalid type: {}, expected {}", describe(value), wanted), value.end)};
  }

  void check(const Field& field, const Json& value, const Json& parent) const {
    if (value.kind == Json::Kind::Null && !field.required) return;
    switch (field.type) {
      case Type::Text:
        if (value.kind != Json::Kind::String) wrong_type(value, "a string");
        return;
      case Type::Flag:
        if (value.kind != Json::Kind::Bool) wrong_type(value, "a boolean");
        return;
      case Type::Byte: return number(value, std::numeric_limits<std::uint8_t>::max(), "u8");
      case Type::Natural: return number(value, std::numeric_limits<std::uint32_t>::max(), "u32");
      case Type::Large: return number(value, std::numeric_limits<std::int64_t>::max(), "u64");
      case Type::Variant: return variant(field, value);
      case Type::Mac:
        if (value.kind != Json::Kind::String) wrong_type(value, "a string");
        if (!is_mac(value.text)) throw JsonError{at_column("The provided MAC address is invalid.", parent.end)};
        return;
      case Type::Struct: return structure(field.words.at(0), value);
      case Type::List:
        if (value.kind != Json::Kind::Array) wrong_type(value, "a sequence");
        for (const Json& item : value.items) structure(field.words.at(0), item);
        return;
      case Type::Anything: return;
    }
  }

  static void number(const Json& value, std::int64_t largest, std::string_view type) {
    if (value.kind != Json::Kind::Number) wrong_type(value, type);
    if (value.number < 0 || value.number > largest) {
      throw JsonError{
          at_column(fmt::format("invalid value: integer `{}`, expected {}", value.number, type), value.end)};
    }
  }
  static void variant(const Field& field, const Json& value) {
    if (value.kind != Json::Kind::String) wrong_type(value, "a string");
    for (const std::string& word : field.words) {
      if (word == value.text) return;
    }
    throw JsonError{at_column(fmt::format("unknown variant `{}`, {}", value.text, expected(field.words)), value.end)};
  }
  static bool is_mac(std::string_view text) {
    if (text.size() != 17) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool colon = i % 3 == 2;
      if (colon ? text[i] != ':' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0) return false;
    }
    return true;
  }

  Version version_;
};

}  // namespace

Json read_body(std::string_view name, std::string_view body, const Version& version) {
  Json value = parse_json(body);
  Reader{version}.structure(name, value);
  return value;
}

}  // namespace fake
