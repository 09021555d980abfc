#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/tree/writer.hpp"

namespace fireclaw::guestd {

/// The user that a command runs as.
struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string home;
};

/// Finds `wanted` in the texts of /etc/passwd and /etc/group: USER or USER:GROUP, each a name or a number; empty: root.
/// Numbers need no entry; a user number without one is in group 0. A group that is named is the only one. False, with
/// `problem` saying why, if there is no such user or group.
bool find_user(std::string_view wanted, std::string_view passwd, std::string_view group, User& user,
               std::string& problem);
/// The same in this machine's files.
bool look_up_user(std::string_view wanted, User& user, std::string& problem);
/// The same, but only the owner of such a user's files.
std::optional<guest::Failure> look_up_owner(std::string_view wanted, guest::TreeWriter::Owner& owner);

}  // namespace fireclaw::guestd
