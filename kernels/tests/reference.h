// The definition: every row alone, step by step, in double, with the derivatives written out.
#pragma once

#include "case.h"

namespace throughtime {

// Forward and backward. Slopes that jump are taken at `slope_at` [N, D, H], the kernel's y, or its
// z + a of an Elman cell with any g: where a sum is 0 but for rounding, its sign is the kernel's to
// choose.
void run_reference(const Case& job, Tensors<double>& tensors, const std::vector<double>& slope_at);

}  // namespace throughtime
