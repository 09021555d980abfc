#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "bindings.hpp"
#include "methods.hpp"

/// Methods and static functions of the library as Python calls them: without the GIL, until they return. What stops
/// them is Ctrl-C and the stop token that they take or that their options have.
namespace fireclaw::python {

/// A parameter that is a descriptor: an open file, a socket, or a plain number.
struct File {
  int fd = -1;
  operator int() const { return fd; }
};
/// A parameter that is a path in a machine: a text or a path, to Python.
struct GuestPath {
  std::string path;
  operator const std::string&() const { return path; }
};

/// What Python's caller gives for a parameter of the type T.
template <class T>
struct GivenFor {
  using type = T;
};
template <>
struct GivenFor<std::stop_token> {
  using type = const StopSource*;
};
template <>
struct GivenFor<std::string_view> {
  using type = std::string;
};
template <class T>
concept Stoppable = requires(T& options, std::stop_token stop) {
  options.stop = stop;
};

/// Python's None means C++'s default.
template <class T>
requires Stoppable<T> || std::is_same_v<T, VMConfig> || std::is_same_v<T, PoolConfig>
struct GivenFor<T> {
  using type = std::optional<T>;
};
template <class T>
using Given = typename GivenFor<std::remove_cvref_t<T>>::type;

inline std::stop_token stop_of(const StopSource* given) { return token_of(given); }
template <Stoppable T>
std::stop_token stop_of(const std::optional<T>& given) {
  return given ? given->stop : std::stop_token{};
}
template <class T>
std::stop_token stop_of(const T& /*given*/) {
  return {};
}

inline std::stop_token with_stop(const StopSource* /*given*/, const std::stop_token& stop) { return stop; }
template <class T>
T with_stop(const std::optional<T>& given, const std::stop_token& stop) {
  auto options = given.value_or(T{});
  if constexpr (Stoppable<T>) options.stop = stop;
  return options;
}
template <class T>
const T& with_stop(const T& given, const std::stop_token& /*stop*/) {
  return given;
}

template <class Call, class... T>
auto call_waiting(const Call& call, T&... given) {
  std::stop_token outer;
  ((outer = stop_of(given).stop_possible() ? stop_of(given) : outer), ...);
  const auto run = [&](const std::stop_token& stop) { return call(with_stop(given, stop)...); };
  using Result = std::invoke_result_t<decltype(run), std::stop_token>;
  if constexpr (std::is_same_v<Result, VM> || std::is_same_v<Result, Pool>) {
    return Handle<Result>{blocking(outer, run)};
  } else if constexpr (std::is_same_v<Result, Agent>) {
    return hold(blocking(outer, run));
  } else {
    return blocking(outer, run);
  }
}

/// What Python has of a T, and how a call gets at that.
template <class T>
struct Self {
  using type = T;
  static T* get(T& self) { return &self; }
};
template <>
struct Self<VM> {
  using type = VMHandle;
  static std::shared_ptr<VM> get(const VMHandle& self) { return self.get(); }
};

/// What Python gives for the parameter N, which is an A in C++: as `As` says, if it has so many.
template <std::size_t N, class A, class... As>
struct GivenAt {
  using type = Given<A>;
};
template <class A, class First, class... Rest>
struct GivenAt<0, A, First, Rest...> {
  using type = Given<First>;
};
template <std::size_t N, class A, class First, class... Rest>
requires(N > 0) struct GivenAt<N, A, First, Rest...> : GivenAt<N - 1, A, Rest...> {
};

template <class T, class... As, class... A, class Method, std::size_t... N>
auto waits_for_method(Method method, std::tuple<A...>* /*parameters*/, std::index_sequence<N...> /*numbers*/) {
  return [method](typename Self<T>::type& self, typename GivenAt<N, A, As...>::type... given) {
    const auto object = Self<T>::get(self);
    return call_waiting([&](const auto&... with) { return std::invoke(method, *object, with...); }, given...);
  };
}

/// `As`: what the first parameters are to Python where their types in C++ do not say it, as File and GuestPath.
template <class... As, class R, class T, class... A>
auto waits(R (T::*method)(A...)) {
  return waits_for_method<T, As...>(method, static_cast<std::tuple<A...>*>(nullptr), std::index_sequence_for<A...>{});
}
template <class... As, class R, class T, class... A>
auto waits(R (T::*method)(A...) const) {
  return waits_for_method<T, As...>(method, static_cast<std::tuple<A...>*>(nullptr), std::index_sequence_for<A...>{});
}
template <class R, class... A>
auto waits(R (*function)(A...)) {
  return [function](Given<A>... given) {
    return call_waiting([&](const auto&... with) { return function(with...); }, given...);
  };
}

}  // namespace fireclaw::python

namespace pybind11::detail {

template <>
struct type_caster<fireclaw::python::File> {
  PYBIND11_TYPE_CASTER(fireclaw::python::File, const_name("FileDescriptor"));
  bool load(handle source, bool /*convert*/) {
    value.fd = fireclaw::python::descriptor(reinterpret_borrow<object>(source));
    return true;
  }
};

template <>
struct type_caster<fireclaw::python::GuestPath> {
  PYBIND11_TYPE_CASTER(fireclaw::python::GuestPath, const_name("StrPath"));
  bool load(handle source, bool convert) {
    make_caster<std::filesystem::path> caster;
    if (!caster.load(source, convert)) return false;
    value.path = static_cast<std::filesystem::path&>(caster).string();
    return true;
  }
};

}  // namespace pybind11::detail
