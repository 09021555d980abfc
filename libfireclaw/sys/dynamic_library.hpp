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

  /// A function that was found; it becomes a pointer of the type that it is assigned to.
  struct Found {
    void* address;
    template <typename Function>
    operator Function*() const {  // NOLINT(google-explicit-constructor)
      return reinterpret_cast<Function*>(address);
    }
  };
  /// Error(Unsupported) if the library has no function of this name.
  [[nodiscard]] Found find(const char* name) const;

 private:
  void* handle_ = nullptr;
  std::string file_;
};

}  // namespace fireclaw::sys
