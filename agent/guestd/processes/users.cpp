#include "processes/users.hpp"

#include <algorithm>
#include <cerrno>
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

/// The group that is meant by a number, which needs no entry, or by a name.
bool find_group(std::string_view wanted, std::string_view group, gid_t& gid) {
  unsigned long number = 0;
  bool found = parse_number(wanted, max_id, number);
  for (const std::string_view line : split(group, '\n')) {
    if (found) break;
    const std::vector<std::string_view> entry = fields(line);
    found = entry.size() >= 3 && entry[0] == wanted && parse_number(entry[2], max_id, number);
  }
  if (found) gid = static_cast<gid_t>(number);
  return found;
}

}  // namespace

bool find_user(std::string_view wanted, std::string_view passwd, std::string_view group, User& user,
               std::string& problem) {
  user = {};
  const std::size_t colon = wanted.find(':');
  const std::string_view name = colon == 0 || wanted.empty() ? "0" : wanted.substr(0, colon);
  // As Docker and runc have it, what is left out on either side of the colon is as if there were none.
  const std::string_view own_group = colon == std::string_view::npos ? "" : wanted.substr(colon + 1);
  unsigned long uid = 0;
  const bool by_number = parse_number(name, max_id, uid);
  const bool known = find_entry(passwd, user, [&](const std::vector<std::string_view>& entry) {
    unsigned long entry_uid = 0;
    return by_number ? parse_number(entry[2], max_id, entry_uid) && entry_uid == uid : entry[0] == name;
  });
  if (!known && !by_number) {
    problem = cat({"there is no user '", name, "' in the guest's /etc/passwd"});
    return false;
  }
  if (!known) {
    // Group 0, as Docker and runc have it: images made for any user number rely on that.
    user.uid = static_cast<uid_t>(uid);
    if (uid == 0) user.name = "root";
    user.home = uid == 0 ? "/root" : "/";
  }
  if (own_group.empty()) {
    find_groups(group, user);
    return true;
  }
  if (!find_group(own_group, group, user.gid)) {
    problem = cat({"there is no group '", own_group, "' in the guest's /etc/group"});
    return false;
  }
  user.groups = {user.gid};
  return true;
}

bool look_up_user(std::string_view wanted, User& user, std::string& problem) {
  std::string passwd;
  std::string group;
  read_file("/etc/passwd", passwd);
  if (!wanted.empty()) read_file("/etc/group", group);
  return find_user(wanted, passwd, group, user, problem);
}

std::optional<guest::Failure> look_up_owner(std::string_view wanted, guest::TreeWriter::Owner& owner) {
  User user;
  std::string problem;
  if (!look_up_user(wanted, user, problem)) return guest::Failure{ENOENT, problem};
  owner = {user.uid, user.gid};
  return {};
}

}  // namespace fireclaw::guestd
