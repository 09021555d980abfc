#pragma once

/// The fields of each struct and the values of each enum, named as in C++. What goes between the languages includes
/// all of them by this file: a type whose conversion is not in sight would quietly get another one from pybind11.
#include "structs/agent.hpp"
#include "structs/exec.hpp"
#include "structs/host.hpp"
#include "structs/image.hpp"
#include "structs/network.hpp"
#include "structs/service.hpp"
#include "structs/vm.hpp"
#include "structs/workspace.hpp"
