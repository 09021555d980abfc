#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "bindings.hpp"

/// Methods and static functions of the library as Python calls them: without the GIL, until they return. What stops
/// them is Ctrl-C and the stop token that they take or that their options have.
namespace fireclaw::python {

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

/// None stands for C++'s default.
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

template <class T, class... A, class Method>
auto waits_for_method(Method method) {
  return [method](typename Self<T>::type& self, Given<A>... given) {
    const auto object = Self<T>::get(self);
    return call_waiting([&](const auto&... with) { return std::invoke(method, *object, with...); }, given...);
  };
}

template <class R, class T, class... A>
auto waits(R (T::*method)(A...)) {
  return waits_for_method<T, A...>(method);
}
template <class R, class T, class... A>
auto waits(R (T::*method)(A...) const) {
  return waits_for_method<T, A...>(method);
}
template <class R, class... A>
auto waits(R (*function)(A...)) {
  return [function](Given<A>... given) {
    return call_waiting([&](const auto&... with) { return function(with...); }, given...);
  };
}

}  // namespace fireclaw::python
