// What crosses the border between the chooser (dispatch.cpp) and the kernels (variant.cpp):
// plain structs of pointers and sizes, and one table of functions per instruction set.
//
//   T time   B batch   D directions   I inputs   H hidden   R rows of a block of steps
//   P values of h: H, or fewer where an LSTM projects them
//   G gates of a cell   S values per unit and step that its backward pass reads   Q peepholes
//   N = places of all steps together; which place a row of a step has, `Rows` says
//
// Every pointer belongs to the caller and lives as long as the call. Outputs alias nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace throughtime {

using Size = std::ptrdiff_t;

enum class CellKind { elman_tanh, elman_relu, lstm, gru, coupled_lstm, elman, gru_reset_before };
inline constexpr int num_cells = 7;

// g of CellKind::elman (nonlinearities.h); two are cells of their own, which save nothing.
enum class Nonlinearity {
    tanh,
    relu,
    identity,
    sigmoid,
    leaky_relu,
    elu,
    softplus,
    silu,
    gelu,
    gelu_tanh,
    hardtanh,
    softsign
};
inline constexpr int num_nonlinearities = 12;

// Rows of the weights per unit, G, in the order of CellKind.
inline constexpr int num_gates[num_cells] = {1, 1, 4, 3, 3, 1, 3};

// Values saved per unit and step, S, in the same order.
inline constexpr int num_saved[num_cells] = {0, 0, 4, 4, 3, 1, 3};

// Rows of peepholes that a cell may have, Q, in the same order: of the LSTMs i, f, o and f, o.
inline constexpr int num_peepholes[num_cells] = {0, 0, 3, 0, 2, 0, 0};

// Whether they keep a state c.
inline constexpr bool has_cell_state[num_cells] = {false, false, true, false, true, false, false};

// The rows of a backward run form so many parts at most, which need not wait for each other.
constexpr Size most_parts(Size B) {
    return B < 6 ? 1 : B < 64 ? 2 : 4;
}

// Steps whose gradients of the weights are summed in one product, counted from the last step, where
// no row has ended: some 256 rows of a part, or the B / parts of one step if those are more.
constexpr Size block_steps(Size B, Size parts) {
    return (B < 1 ? 256 : B > 256 ? 1 : 256 / B) * parts;
}

struct Sizes {
    Size N, T, B, D, I, H, P;
    bool normalises = false;  // LayerNorm of the pre-activations (layernorm.h)
};

// Which rows a step has, and where their numbers stand. Rows are numbered by falling length, so
// that those of step t are 0, ..., active[t] - 1; row r is the caller's row batch[r], and its
// numbers of step t stand at place first[t] + batch[r] * stride of the axis N.
struct Rows {
    const Size* active;  // [T]
    const Size* first;   // [T]
    const Size* batch;   // [B] or null: r itself
    Size stride;
    const std::uint8_t* reset;  // [N] or null; 1: the sequence begins afresh at this place
};

// The weights of one direction, as torch keeps them.
template <class Real>
struct Weights {
    const Real* weight_ih;  // [G, H, I]
    const Real* weight_hh;  // [G, H, P]
    const Real* bias_ih;    // [G, H]    or null
    const Real* bias_hh;    // [G, H]    or null
    const Real* peepholes;  // [Q, H]    or null; of an LSTM
    const Real* norm_ih;    // [G, H]    gains of LayerNorm, of W_ih x, or null: without it;
    const Real* norm_hh;    // [G, H]    of W_hh h; both or none
    const Real* weight_hr;  // [P, H]    or null; of an LSTM that projects h
};

// Their gradients, written.
template <class Real>
struct WeightGradients {
    Real* weight_ih;
    Real* weight_hh;
    Real* bias_ih;
    Real* bias_hh;
    Real* peepholes;
    Real* norm_ih;
    Real* norm_hh;
    Real* weight_hr;
};

class Progress;  // team.h

// One forward run over a sequence.
template <class Real>
struct Forward {
    Real* y;              // [N, D, P]    written
    Real* h_n;            // [D, B, P]    written
    Real* c_n;            // [D, B, H]    written by the LSTM
    Real* c;              // [N, D, H]    saved by the LSTM, or null
    Real* gates;          // [N, D, S, H] saved, or null
    const Real* x;        // [N, I]
    const Real* h0;       // [D, B, P]    or null: zeros
    const Real* c0;       // [D, B, H]    or null; read by the LSTM
    const Real* h_fresh;  // [D, P]       or null: zeros; where a reset begins
    const Real* c_fresh;  // [D, H]       or null; read by the LSTM
    const Real* mask;     // [D, B, P]    or null: ones; the recurrent product reads mask * h_before
    const Real* keep_h;   // [N, D, P]    share of h_before that stays (options.h), or null:
    const Real* keep_c;   // [N, D, H]    the same of c_before; LSTM
    Real* normalised;     // [N, D, 2, G, H] saved with LayerNorm, or null: v^ of W_ih x, of W_hh h
    Real* scales;         // [N, D, 2]    saved, or null: 1 / sigma of both
    Real keep_h_share;    // of all where keep_h is null; 0: nothing stays
    Real keep_c_share;
    Nonlinearity g;
    const Real* packed;        // the weights, by pack_forward, but for
    const Real* peepholes[2];  // [Q, H] by direction, or null
    Sizes sizes;
    Rows rows;
    Real* workspace;
    Progress* x_done;  // blocks of x that are there; null: all
    Progress* y_done;  // blocks of y that are written, or null; either is of one direction
};

// One backward run; the gradients it writes are set, not added to.
template <class Real>
struct Backward {
    WeightGradients<Real> weights[2];  // by direction; null: not yet wanted
    Real* sums;                        // of several runs, in elements `sums`; null: of this one
    bool adds;                         // to the sums of the runs before
    Real* dx;                          // [D, N, I]    or null: not wanted
    Real* dh0;                         // [D, B, P]    or null
    Real* dc0;                         // [D, B, H]    or null; by the LSTM
    Real* dh_fresh;                    // [D, P]       or null
    Real* dc_fresh;                    // [D, H]       or null; by the LSTM
    Real* dh_all;                      // [N, D, P]    or null: not wanted (adjoints.h)
    Real* dc_all;                      // [N, D, H]    or null; by the LSTM
    Real* dz_all;                      // [N, D, G, H] or null
    const Real* dy;                    // [N, D, P]    or null: zeros
    const Real* dc;                    // [N, D, H]    or null: zeros; of c, LSTM
    const Real* dh_n;                  // [D, B, P]    or null: zeros
    const Real* dc_n;                  // [D, B, H]    or null: zeros
    const Real* x;                     // [N, I]
    const Real* y;                     // [N, D, P]
    const Real* c;                     // [N, D, H]    read by the LSTM
    const Real* gates;                 // [N, D, S, H]
    const Real* h0;                    // as in Forward, as are those that follow
    const Real* c0;
    const Real* h_fresh;
    const Real* c_fresh;
    const Real* mask;
    const Real* keep_h;  // of cells that do not tell their slope from y
    const Real* keep_c;
    const Real* normalised;
    const Real* scales;
    Real keep_h_share;
    Real keep_c_share;
    Nonlinearity g;
    const Real* packed;        // the weights, by pack_backward, but for
    const Real* peepholes[2];  // these
    Sizes sizes;
    Rows rows;
    Real* workspace;
};

// Copies weights to where a run reads them.
template <class Real>
struct Pack {
    Real* packed;
    Weights<Real> weights[2];  // by direction
    Sizes sizes;
};

// One step of one layer and direction.
template <class Real>
struct StreamStep {
    Real* h;               // [B, P] written
    Real* c;               // [B, H] of the step before; written: the new one; LSTM
    const Real* x;         // [B, I]
    const Real* h_before;  // [B, P]
    Real keep_h_share;     // as in Forward
    Real keep_c_share;
    Nonlinearity g;
    const Real* packed;     // the weights, by pack_forward, but for
    const Real* peepholes;  // [Q, H] or null
    Sizes sizes;
    Size turn;  // 0 and 1 in turn, from step to step
    Real* workspace;
};

struct Member;  // one thread of a run, team.h

// One pass over a sequence: what it does, and how much room it wants, in elements.
template <class Real, class Job>
struct Pass {
    void (*run)(const Job&, const Member&);
    void (*pack)(const Pack<Real>&, const Member&);
    Size (*workspace)(const Sizes&, int threads);
    Size (*packed)(const Sizes&);
};

template <class Real>
struct CellFunctions {
    Pass<Real, Forward<Real>> forward;
    Pass<Real, Backward<Real>> backward;
    Size (*sums)(const Sizes&);  // elements
    void (*stream_step)(const StreamStep<Real>&);
    Size (*stream_workspace)(const Sizes&);
};

// y [B, O] = W h + b, from weight [O, H] and bias [O] or null
template <class Real>
struct ReadoutFunctions {
    Size (*packed)(Size O, Size H);  // elements
    void (*pack)(Real* to, const Real* weight, const Real* bias, Size O, Size H);
    void (*run)(Real* y, const Real* h, const Real* packed, Size B, Size O, Size H,
                Real* workspace);  // [B, 128 bytes or less]
};

template <class Real>
struct Functions {
    CellFunctions<Real> cells[num_cells];  // in the order of CellKind
    ReadoutFunctions<Real> readout;
    void (*tanh)(Real* out, const Real* in, Size n);
    void (*sigmoid)(Real* out, const Real* in, Size n);
};

struct Variant {
    const char* name;
    Functions<float> in_float;
    Functions<double> in_double;
    std::uint64_t (*fingerprint)(const void* from, Size bytes);
    double (*multiply_adds)(Size rounds, float* out);  // ceilings.h
    double (*read_through)(const float* from, Size bytes, Size rounds, float* out);
};

}  // namespace throughtime
