#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::guestd {

/// Whom a command runs as.
struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string home;
};

/// Finds `wanted` (a name, "uid" or "uid:gid"; empty: root) in the texts of /etc/passwd and /etc/group. Numeric ids
/// need no entry. False, with `problem` saying why, if there is no such user.
bool find_user(std::string_view wanted, std::string_view passwd, std::string_view group, User& user,
               std::string& problem);

}  // namespace fireclaw::guestd
