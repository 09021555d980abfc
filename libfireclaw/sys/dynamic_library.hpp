#pragma once

#include <initializer_list>
#include <string>

namespace fireclaw::sys {

/// A shared library that is loaded when it is first needed, because loading it would make every start of every program
/// slower that links fireclaw. It stays loaded for as long as the process lives. Safe from any thread.
class DynamicLibrary {
 public:
  /// The first of `files` that is there. Error(Unsupported) saying that `package` brings it, if none is.
  DynamicLibrary(std::initializer_list<const char*> files, const char* package);

  /// Sets a pointer to a function of the library. Error(Unsupported) if it has none of this name.
  template <typename Function>
  void find(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(address_of(name));
  }

 private:
  [[nodiscard]] void* address_of(const char* name) const;
  void* handle_ = nullptr;
  std::string file_;
};

}  // namespace fireclaw::sys
