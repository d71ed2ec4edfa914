// The definition: every row alone, step by step, in double, with the derivatives written out.
#pragma once

#include "case.h"

namespace throughtime {

// Forward and backward. The slope of relu is taken at `relu_at` [N, D, H]: where a sum is 0 but for
// rounding, its sign is the kernel's to choose.
void run_reference(const Case& job, Tensors<double>& tensors, const std::vector<double>& relu_at);

}  // namespace throughtime
