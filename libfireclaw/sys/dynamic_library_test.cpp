#include "sys/dynamic_library.hpp"

#include <doctest/doctest.h>

#include <string_view>

#include "fireclaw/error.hpp"

using namespace fireclaw;

TEST_CASE("a library's function is found and can be called") {
  const sys::DynamicLibrary library{{"libno-such-m.so", "libm.so.6"}, "libc6"};
  double (*const cosine)(double) = library.find("cos");
  CHECK(cosine(0.0) == 1.0);
}

TEST_CASE("what is missing is named with its remedy") {
  const auto problem_of = [](auto&& act) -> std::string {
    try {
      act();
    } catch (const Error& problem) {
      CHECK(problem.code() == ErrorCode::Unsupported);
      return problem.what();
    }
    return {};
  };
  CHECK(problem_of([] {
          sys::DynamicLibrary{{"libnone.so.7"}, "libnone7"};
        }).find("apt-get install libnone7") != std::string::npos);
  const sys::DynamicLibrary library{{"libno-such-m.so", "libm.so.6"}, "libc6"};
  CHECK(problem_of([&] { static_cast<void>(library.find("no_such_function")); }).find("no_such_function") !=
        std::string::npos);
}
