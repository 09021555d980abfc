#include "users.hpp"

#include <algorithm>
#include <optional>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

/// Ids up to this are valid; the last one means "none" to the kernel.
constexpr unsigned long max_id = 0xFFFFFFFEUL;

/// The fields of one line, empty ones kept.
std::vector<std::string_view> fields(std::string_view line) {
  std::vector<std::string_view> result;
  for (;;) {
    const std::size_t colon = line.find(':');
    result.push_back(line.substr(0, colon));
    if (colon == std::string_view::npos) return result;
    line.remove_prefix(colon + 1);
  }
}

bool take_entry(const std::vector<std::string_view>& entry, User& user) {
  unsigned long uid = 0;
  unsigned long gid = 0;
  if (entry.size() < 6 || !parse_number(entry[2], max_id, uid) || !parse_number(entry[3], max_id, gid)) return false;
  user.name = entry[0];
  user.uid = static_cast<uid_t>(uid);
  user.gid = static_cast<gid_t>(gid);
  user.home = entry[5];
  return true;
}

template <typename Matches>
bool find_entry(std::string_view passwd, User& user, Matches matches) {
  for (const std::string_view line : split(passwd, '\n')) {
    const std::vector<std::string_view> entry = fields(line);
    if (entry.size() >= 6 && matches(entry) && take_entry(entry, user)) return true;
  }
  return false;
}

void find_groups(std::string_view group, User& user) {
  user.groups = {user.gid};
  if (user.name.empty()) return;
  for (const std::string_view line : split(group, '\n')) {
    const std::vector<std::string_view> entry = fields(line);
    unsigned long gid = 0;
    if (entry.size() < 4 || !parse_number(entry[2], max_id, gid)) continue;
    const std::vector<std::string_view> members = split(entry[3], ',');
    const bool member = std::find(members.begin(), members.end(), user.name) != members.end();
    const auto id = static_cast<gid_t>(gid);
    if (member && std::find(user.groups.begin(), user.groups.end(), id) == user.groups.end()) user.groups.push_back(id);
  }
}

}  // namespace

bool find_user(std::string_view wanted, std::string_view passwd, std::string_view group, User& user,
               std::string& problem) {
  user = {};
  if (wanted.empty()) wanted = "0";
  const std::size_t colon = wanted.find(':');
  const std::string_view uid_text = wanted.substr(0, colon);
  unsigned long uid = 0;
  if (parse_number(uid_text, max_id, uid)) {
    unsigned long gid = 0;
    const bool has_gid = colon != std::string_view::npos;
    if (has_gid && !parse_number(wanted.substr(colon + 1), max_id, gid)) {
      problem = cat({"'", wanted, "' is no user: after the colon comes a group number"});
      return false;
    }
    const bool known = find_entry(passwd, user, [&](const std::vector<std::string_view>& entry) {
      unsigned long entry_uid = 0;
      return parse_number(entry[2], max_id, entry_uid) && entry_uid == uid;
    });
    if (!known) {
      user.uid = static_cast<uid_t>(uid);
      user.gid = static_cast<gid_t>(uid == 0 ? 0 : uid);
      if (uid == 0) user.name = "root";
      user.home = uid == 0 ? "/root" : "/";
    }
    if (has_gid) {
      user.gid = static_cast<gid_t>(gid);
      user.groups = {user.gid};
      return true;
    }
    find_groups(group, user);
    return true;
  }
  if (colon != std::string_view::npos) {
    problem = cat({"'", wanted, "' is no user: name one as in /etc/passwd, or by numbers as uid:gid"});
    return false;
  }
  if (!find_entry(passwd, user, [&](const std::vector<std::string_view>& entry) { return entry[0] == wanted; })) {
    problem = cat({"there is no user '", wanted, "' in the guest's /etc/passwd"});
    return false;
  }
  find_groups(group, user);
  return true;
}

}  // namespace fireclaw::guestd
