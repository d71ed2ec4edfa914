// Chooses the kernels for this machine and runs them on a team of threads.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"
#include "packed_copy.h"

namespace throughtime {

// Names of the variants that this processor can run, the fastest first.
std::vector<std::string> known_variants();

// The variant that the next calls use; at first the fastest.
std::string chosen_variant();

// Returns whether there is a variant of that name.
bool choose_variant(const std::string& name);

// Runs a job (Forward or Backward) whose `packed` and `workspace` are still empty; weights [D].
template <class Real, class Job>
void run_pass(CellKind cell, Job job, const Weights<Real>* weights, PackedCopy& copy, int threads);

// Threads worth their barriers, at most `most`: by the work of one step.
int choose_threads(CellKind cell, Size T, Size B, Size D, Size H, int most);

// Floating-point operations a second that `threads` threads reach in registers.
double measure_operations(int threads);

// Bytes a second that each of `threads` threads reads of its own `bytes` bytes, all together.
double measure_reading(Size bytes, int threads);

// The kernels of the chosen variant for one type of number.
template <class Real>
const Functions<Real>& chosen_functions();

}  // namespace throughtime
