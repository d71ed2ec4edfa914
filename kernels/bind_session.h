// The part of the Python module that streams.
#pragma once

#include <nanobind/nanobind.h>

namespace throughtime {

void bind_sessions(nanobind::module_& m);

}  // namespace throughtime
