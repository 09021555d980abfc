#pragma once

#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace fireclaw::netd {

/// A descriptor that is closed with its object; -1: none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) noexcept : number_{number} {}
  Fd(Fd&& other) noexcept : number_{std::exchange(other.number_, -1)} {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Fd() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] int get() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// `result`, or std::system_error saying what could not be done.
inline int check(int result, const std::string& what) {
  if (result < 0) throw std::system_error{errno, std::system_category(), what};
  return result;
}

}  // namespace fireclaw::netd
