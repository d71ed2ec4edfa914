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

// Runs a job (Forward or Backward) that has all but what follows from the weights [D]: `packed`,
// `peepholes`, `workspace`, and whether it normalises.
template <class Real, class Job>
void run_pass(CellKind cell, Job job, const Weights<Real>* weights, PackedCopy& copy, int threads);

// The same for layers on top of each other, one direction each, that run at the same time: every
// one begins a block of steps as soon as the one below has written it. Threads take layers in turn.
template <class Real>
void run_wave(CellKind cell, std::vector<Forward<Real>> jobs, const Weights<Real>* weights,
              const std::vector<PackedCopy*>& copies, int threads);

// Threads for `layers` layers at the same time, at most `most`; 1 where that does not pay.
int choose_wave_threads(CellKind cell, Size T, Size B, Size H, int layers, int most);

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
