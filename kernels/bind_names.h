// Cells and nonlinearities by name; an unknown one is a ValueError with those that are known.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace throughtime {

CellKind cell_named(const std::string& name);
Nonlinearity nonlinearity_named(const std::string& name);

// The names that nonlinearity_named knows.
std::vector<std::string> known_nonlinearities();

}  // namespace throughtime
