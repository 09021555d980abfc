#pragma once

// Functions of 1.18 that later versions have others for.
#define CARES_NO_DEPRECATED
#include <ares.h>

#include "sys/dynamic_library.hpp"

namespace fireclaw::gateway {

/// c-ares' functions, looked up when first needed: only the gateway asks name servers.
struct CaresLibrary {
  sys::DynamicLibrary library{{"libcares.so.2"}, "libc-ares2"};
  decltype(&ares_library_init) library_init = library.find("ares_library_init");
  decltype(&ares_init_options) init_options = library.find("ares_init_options");
  decltype(&ares_destroy) destroy = library.find("ares_destroy");
  decltype(&ares_getaddrinfo) getaddrinfo = library.find("ares_getaddrinfo");
  decltype(&ares_freeaddrinfo) freeaddrinfo = library.find("ares_freeaddrinfo");
  decltype(&ares_query) query = library.find("ares_query");
  decltype(&ares_process_fd) process_fd = library.find("ares_process_fd");
  decltype(&ares_expand_name) expand_name = library.find("ares_expand_name");
  decltype(&ares_free_string) free_string = library.find("ares_free_string");
  decltype(&ares_strerror) strerror = library.find("ares_strerror");

  /// Loads it on the first call. Error(Unsupported), naming the package, if it is not there. Safe from any thread.
  static const CaresLibrary& get();
};

}  // namespace fireclaw::gateway
