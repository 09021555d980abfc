#pragma once

#include <tuple>
#include <utility>

#include <pybind11/pybind11.h>

namespace fireclaw::python {

namespace py = pybind11;

/// A method's name, what help() shows of it, and its parameters (py::arg). methods.hpp has all of them: it is written
/// from the stub, which has names and defaults, and from the texts there or in the public headers.
template <class... Parameter>
struct Method {
  const char* name;
  const char* text;
  std::tuple<Parameter...> parameters;
};

template <class... Parameter>
Method<Parameter...> method(const char* name, const char* text, Parameter... parameters) {
  return {name, text, {std::move(parameters)...}};
}

template <class Type, class Call, class... Parameter>
void define(Type& type, const Method<Parameter...>& as, Call&& call) {
  std::apply([&](const auto&... parameter) { type.def(as.name, std::forward<Call>(call), parameter..., as.text); },
             as.parameters);
}

template <class Type, class Call, class... Parameter>
void define_static(Type& type, const Method<Parameter...>& as, Call&& call) {
  std::apply(
      [&](const auto&... parameter) { type.def_static(as.name, std::forward<Call>(call), parameter..., as.text); },
      as.parameters);
}

}  // namespace fireclaw::python
