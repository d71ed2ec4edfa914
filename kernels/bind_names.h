// Cells and nonlinearities by name; an unknown one is a ValueError with those that are known.
#pragma once

#include <string>

#include "kernels.h"

namespace throughtime {

CellKind cell_named(const std::string& name);
Nonlinearity nonlinearity_named(const std::string& name);

}  // namespace throughtime
