// What crosses the border between the chooser (dispatch.cpp) and the kernels (variant.cpp):
// plain structs of pointers and sizes, and one table of functions per instruction set.
//
//   T time   B batch   D directions   H hidden   G gates of a cell   S gates saved for backward
//   N = rows of all steps together; step t has offset[t+1] - offset[t] rows from row offset[t] on
//
// Every pointer belongs to the caller and lives as long as the call. Outputs alias nothing.
#pragma once

#include <cstddef>

namespace throughtime {

using Size = std::ptrdiff_t;

enum class CellKind { elman_tanh, elman_relu, lstm, gru };
inline constexpr int num_cells = 4;

// Rows of the weights per unit, G, in the order of CellKind.
inline constexpr int num_gates[num_cells] = {1, 1, 4, 3};

struct Sizes {
    const Size* offset;  // [T+1]
    Size T, B, D, H;
};

// One forward run over a sequence.
template <class Real>
struct Forward {
    Real* y;                // [N, D, H]    written, and read back as the state before
    Real* h_n;              // [D, B, H]    written
    Real* c_n;              // [D, B, H]    written by the LSTM
    Real* c;                // [N, D, H]    saved by the LSTM, or null
    Real* gates;            // [N, D, S, H] saved, or null; the LSTM's may be z
    const Real* z;          // [N, D, G, H] the input's part of the pre-activations
    const Real* weight_hh;  // [D, G, H, H]
    const Real* bias_hh;    // [D, G, H]    or null
    const Real* h0;         // [D, B, H]
    const Real* c0;         // [D, B, H]    read by the LSTM
    Sizes sizes;
    Real* workspace;
};

// One backward run; the gradients it writes are set, since each is written exactly once.
template <class Real>
struct Backward {
    Real* dz;               // [N, D, G, H] written
    Real* da;               // [N, D, G, H] written by the GRU: of W_hh h + b_hh where it differs
    Real* dh0;              // [D, B, H]    written; carries dh from step to step meanwhile
    Real* dc0;              // [D, B, H]    written by the LSTM; carries dc meanwhile
    const Real* dy;         // [N, D, H]    or null
    const Real* dh_n;       // [D, B, H]    or null
    const Real* dc_n;       // [D, B, H]    or null
    const Real* y;          // [N, D, H]
    const Real* h0;         // [D, B, H]
    const Real* c0;         // [D, B, H]    read by the LSTM
    const Real* c;          // [N, D, H]    read by the LSTM
    const Real* gates;      // [N, D, S, H]
    const Real* weight_hh;  // [D, G, H, H]
    Sizes sizes;
    Real* workspace;
};

struct Member;  // one thread of a run, team.h

// The kernels for one type of number; the arrays are in the order of CellKind.
template <class Real>
struct Functions {
    void (*forward[num_cells])(const Forward<Real>&, const Member&);
    void (*backward[num_cells])(const Backward<Real>&, const Member&);
    Size (*workspace_elements[num_cells])(Size B, Size D, Size H, int threads);
    void (*tanh)(Real* out, const Real* in, Size n);
    void (*sigmoid)(Real* out, const Real* in, Size n);
};

struct Variant {
    const char* name;
    Functions<float> in_float;
    Functions<double> in_double;
};

}  // namespace throughtime
