// Chooses the kernels for this machine and runs them on a team of threads.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace throughtime {

// Names of the variants that this processor can run, the fastest first.
std::vector<std::string> known_variants();

// The variant that the next calls use; at first the fastest.
std::string chosen_variant();

// Returns whether there is a variant of that name.
bool choose_variant(const std::string& name);

template <class Real>
void run_forward(CellKind cell, const Forward<Real>& job, int threads);

template <class Real>
void run_backward(CellKind cell, const Backward<Real>& job, int threads);

// Elements of the workspace that a run of either pass needs.
Size workspace_elements(CellKind cell, bool is_double, Size B, Size D, Size H, int threads);

// Threads worth their barriers, at most `most`: by the work of one step.
int choose_threads(CellKind cell, Size B, Size D, Size H, int most);

// The kernels of the chosen variant for one type of number.
template <class Real>
const Functions<Real>& chosen_functions();

}  // namespace throughtime
