#include "processes/login.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

/// Makes a folder of the user's own. False if it cannot be had.
bool make_own(const std::string& path, unsigned mode, const User& user, bool& fresh) {
  fresh = mkdir(path.c_str(), mode) == 0;
  if (!fresh) return errno == EEXIST;
  return chown(path.c_str(), user.uid, user.gid) == 0;
}

/// A cgroup that the user may fill and divide. What is left to root are its limits.
bool make_own_cgroup(const std::string& path, const User& user, bool& fresh) {
  if (!make_own(path, 0755, user, fresh)) return false;
  if (!fresh) return true;
  for (const char* file : {"/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"})
    if (chown((path + file).c_str(), user.uid, user.gid) < 0) return false;
  return true;
}

guest::OwnedFd open_cgroup(const User& user) {
  const std::string path = cat({cgroup_root, "/user-", std::to_string(user.uid)});
  const std::string commands = path + "/commands";
  bool fresh = false;
  if (!make_own_cgroup(path, user, fresh)) return {};
  if (fresh) share_controllers(path);
  if (!make_own_cgroup(commands, user, fresh)) return {};
  return guest::OwnedFd{open((commands + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC)};
}

}  // namespace

Login log_in(const User& user) {
  Login login;
  if (user.uid == 0 || getpid() != 1) return login;
  mkdir("/run/user", 0755);
  bool fresh = false;
  std::string folder = cat({"/run/user/", std::to_string(user.uid)});
  if (make_own(folder, 0700, user, fresh))
    login.runtime_folder = std::move(folder);
  else
    log({"cannot make ", folder, ": ", error_text(errno)});
  login.cgroup = open_cgroup(user);
  return login;
}

void share_controllers(const std::string& path) {
  const std::string file = path + "/cgroup.subtree_control";
  // One by one: a kernel that lacks one of them refuses the whole line.
  for (const char* controller : {"+cpu", "+memory", "+pids"}) write_file(file.c_str(), controller);
}

}  // namespace fireclaw::guestd
