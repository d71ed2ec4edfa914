// What the module asks of torch's tensors, as objects of Python.
#pragma once

#include <nanobind/nanobind.h>

namespace throughtime {

void bind_tensors(nanobind::module_& m);

}  // namespace throughtime
