#include "state/settings/secrets.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "json/record.hpp"
#include "sys/file.hpp"

namespace fireclaw::state {
namespace {

constexpr unsigned schema = 1;
constexpr std::size_t longest_name = 64;
constexpr std::size_t longest_value = 8192;
constexpr std::chrono::seconds turn_patience{10};

void refuse_readable_by_others(const std::filesystem::path& file) {
  struct stat about {};
  const auto opened = sys::open_file(file, O_PATH);
  sys::check(::fstat(opened.get(), &about), "fstat");
  if ((about.st_mode & 077) == 0) return;
  throw Error{ErrorCode::PermissionDenied,
              fmt::format("{0} can be read or written by others (mode {1:o}); run: chmod 600 {0}", file.native(),
                          about.st_mode & 07777)};
}

sys::FileLock take_turn(const std::filesystem::path& lock_file) {
  return sys::FileLock::acquire(lock_file, sys::FileLock::Mode::Exclusive, Deadline::after(turn_patience),
                                "the secrets, which another fireclaw is changing");
}

}  // namespace

bool is_secret_name(std::string_view text) {
  const auto fits = [](char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-'; };
  return !text.empty() && text.size() <= longest_name && std::ranges::all_of(text, fits);
}

SecretStore::SecretStore(std::filesystem::path file, std::filesystem::path lock_file)
    : file_{std::move(file)}, lock_file_{std::move(lock_file)} {}

SecretStore::Secrets SecretStore::read() const {
  if (!std::filesystem::exists(file_)) return {};
  refuse_readable_by_others(file_);
  const auto value = json::Value::parse_file(file_);
  json::RecordReader{value}.schema(schema);
  value.only({"schema", "secrets"});
  Secrets secrets;
  for (const auto& [name, secret] : value.at("secrets").as_object()) {
    if (!is_secret_name(name)) secret.fail("has a name that cannot be a secret's");
    secrets.emplace(name, secret.as_string());
  }
  return secrets;
}

void SecretStore::write(const Secrets& secrets) const {
  json::Writer out{json::Writer::Style::Pretty};
  out.begin_object();
  out.field("schema", schema);
  out.key("secrets").begin_object();
  for (const auto& [name, secret] : secrets) out.field(name, secret);
  out.end_object();
  out.end_object();
  sys::write_file_atomic(file_, out.take(), 0600);
}

void SecretStore::set(const std::string& name, std::string_view value) const {
  if (!is_secret_name(name)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' cannot be a secret's name: use 1 to 64 letters, digits, . _ -", name)};
  }
  const bool printable = std::ranges::all_of(value, [](char c) { return c >= ' ' && c < '\x7f'; });
  if (value.empty() || value.size() > longest_value || !printable) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("a secret must be 1 to {} printable ASCII characters on one line", longest_value)};
  }
  const auto turn = take_turn(lock_file_);
  auto secrets = read();
  secrets.insert_or_assign(name, std::string{value});
  write(secrets);
}

bool SecretStore::remove(std::string_view name) const {
  const auto turn = take_turn(lock_file_);
  auto secrets = read();
  const auto found = secrets.find(name);
  if (found == secrets.end()) return false;
  secrets.erase(found);
  write(secrets);
  return true;
}

}  // namespace fireclaw::state
