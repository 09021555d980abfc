#include "capabilities.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

// The largest that the kernel makes has 24 bytes.
constexpr std::size_t most_bytes = 64;

class Walk {
 public:
  explicit Walk(dev_t device) : device_{device} {}

  [[nodiscard]] bool failed() const { return failed_; }

  void folder(const std::string& place, const std::string& path) {
    DIR* const entries = opendir(place.c_str());
    if (entries == nullptr) return fail(place);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* const entry = readdir(entries)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    if (errno != 0) fail(place);
    closedir(entries);
    for (const auto& name : names) each(cat({place, "/", name}), path.empty() ? name : cat({path, "/", name}));
  }

 private:
  void each(const std::string& place, const std::string& path) {
    struct stat status {};
    if (lstat(place.c_str(), &status) != 0) {
      // What has been removed meanwhile has none.
      if (errno != ENOENT) fail(place);
    } else if (S_ISDIR(status.st_mode)) {
      if (status.st_dev == device_) folder(place, path);
    } else if (S_ISREG(status.st_mode)) {
      file(place, path);
    }
  }

  void file(const std::string& place, const std::string& path) {
    unsigned char value[most_bytes];
    const auto bytes = lgetxattr(place.c_str(), "security.capability", value, sizeof value);
    if (bytes < 0) {
      if (errno != ENODATA && errno != ENOTSUP && errno != ENOENT) fail(place);
      return;
    }
    for (ssize_t i = 0; i < bytes; ++i) std::printf("%02x", value[i]);
    std::printf(" %s%c", path.c_str(), '\0');
  }

  void fail(const std::string& place) {
    log({"cannot look at '", place, "': ", error_text(errno)});
    failed_ = true;
  }

  const dev_t device_;
  bool failed_ = false;
};

}  // namespace

int print_capabilities(const std::string& folder) {
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0) {
    log({"cannot look at '", folder, "': ", error_text(errno)});
    return 1;
  }
  Walk walk{status.st_dev};
  walk.folder(folder, "");
  return std::fflush(stdout) != 0 || walk.failed() ? 1 : 0;
}

}  // namespace fireclaw::guestd
