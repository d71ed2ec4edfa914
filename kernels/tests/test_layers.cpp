// Sequences, forward and backward, against the definition.
#include "check.h"
#include "reference.h"
#include "run.h"
#include "tests.h"

namespace throughtime {
namespace {

template <class Real>
std::vector<double> in_double(const std::vector<Real>& tensor) {
    return {tensor.begin(), tensor.end()};
}

template <class Real>
Tensors<double> inputs_in_double(const Case& job, Tensors<Real>& from) {
    Tensors<double> to;
    std::vector<std::vector<double>> converted;
    for_inputs(job, from, [&](std::vector<Real>& tensor, Size, double) {
        converted.push_back(in_double(tensor));
    });
    auto next = converted.begin();
    for_inputs(job, to, [&](std::vector<double>& tensor, Size, double) { tensor = *next++; });
    to.reset = from.reset;
    return to;
}

// Every number within the rounding of some hundred steps, beside the largest of its tensor.
template <class Real>
bool is_close(const std::vector<Real>& ours, const std::vector<double>& theirs) {
    const double tolerance = sizeof(Real) == 4 ? 1e-5 : 1e-12;
    double scale = 1;
    for (const double number : theirs) scale = std::max(scale, std::abs(number));
    if (ours.size() != theirs.size()) return false;
    for (std::size_t k = 0; k < ours.size(); ++k) {
        if (!(std::abs(ours[k] - theirs[k]) <= tolerance * scale))
            return false;  // nor may it be NaN
    }
    return true;
}

template <class Real>
void compare(const Case& job) {
    Tensors<Real> ours = draw<Real>(job);
    make_room(job, ours);
    Layer layer;
    run_forward(job, ours, layer);
    run_backward(job, ours, layer);
    Tensors<double> theirs = inputs_in_double(job, ours);
    run_reference(job, theirs, in_double(ours.y));
    std::vector<const std::vector<double>*> expected;
    for_outputs(job, theirs, [&](const char*, std::vector<double>& tensor, Size) {
        expected.push_back(&tensor);
    });
    auto next = expected.begin();
    const std::string type = sizeof(Real) == 4 ? " float " : " double ";
    for_outputs(job, ours, [&](const char* name, std::vector<Real>& tensor, Size) {
        CHECK(is_close(tensor, **next++), job.name() + type + name);
    });
}

void compare_in_both_types(const Case& job) {
    compare<float>(job);
    compare<double>(job);
}

// The bits of one thread.
void compare_threads(Case job) {
    std::vector<std::vector<float>> expected;
    for (const int threads : {1, job.threads}) {
        job.threads = threads;
        Tensors<float> tensors = draw<float>(job);
        make_room(job, tensors);
        Layer layer;
        run_forward(job, tensors, layer);
        run_backward(job, tensors, layer);
        std::size_t k = 0;
        for_outputs(job, tensors, [&](const char* name, std::vector<float>& tensor, Size) {
            if (threads == 1) expected.push_back(tensor);
            CHECK(tensor == expected[k++], job.name() + " bits of " + name);
        });
    }
}

// Directions, threads and layout take turns, so that every size meets some of them.
void test_sizes() {
    int turn = 0;
    for (const CellKind cell : every_cell) {
        for (const Size H : {1, 5, 7, 13, 33, 100}) {
            for (const Size B : {1, 2, 7, 16, 33}) {
                for (const Size I : {0, 3, 17}) {
                    Case job{cell, 3, B, I, H};
                    job.D = 1 + turn % 2;
                    job.threads = 1 + turn % 3;
                    job.batch_first = turn % 5 < 2;
                    job.bias = turn % 7 > 0;
                    compare_in_both_types(job);
                    ++turn;
                }
            }
        }
    }
}

void test_rows() {
    const std::vector<std::int64_t> every_length[] = {
        {}, {2, 6, 0, 3}, {0, 0, 0, 0}, {6, 6, 6, 6}, {1, 4, 2, 5}};
    for (const CellKind cell : every_cell) {
        for (const Size D : {1, 2}) {
            for (const int threads : {1, 2, 3}) {
                for (const bool resets : {false, true}) {
                    Case job{cell, 6, 4, 3, 21, D, threads};
                    job.resets = resets;
                    for (const auto& lengths : every_length) {
                        job.lengths = lengths;
                        for (const bool batch_first : {false, true}) {
                            job.batch_first = batch_first;
                            compare_in_both_types(job);
                        }
                    }
                    job.lengths = {}, job.batch_first = false;
                    job.batch_sizes = {4, 4, 3, 1, 1, 1};
                    compare_in_both_types(job);
                }
            }
        }
    }
}

// A backward run from step t on, whose rest another run has done; D is 1, all rows have all steps.
void move_to(Backward<float>& run, Size t) {
    const Sizes& sizes = run.sizes;
    const Size row = sizes.B * sizes.H, gates = run.gates ? 4 * row : 0;
    run.dx += t * sizes.B * sizes.I, run.x += t * sizes.B * sizes.I;
    if (t > 0) run.h0 = run.y + (t - 1) * row, run.c0 = run.c + (t - 1) * row;
    run.dy += t * row, run.y += t * row, run.c += t * row, run.gates += t * gates;
    if (!run.normalised) return;
    run.normalised += t * 2 * sizes.B * num_gates[int(CellKind::lstm)] * sizes.H;
    run.scales += t * 2 * sizes.B;
}

// Pieces of whole blocks that hand on their sums give the bits of one run.
void test_pieces() {
    for (const bool norms : {false, true}) {
        Case job{CellKind::lstm, 0, 20, 5, 9, 1, 2};
        const Size piece = block_steps(job.B, most_parts(job.B)), last = piece + 3;
        job.T = piece + last;
        job.norms = job.mask = norms;
        Tensors<float> tensors = draw<float>(job);
        make_room(job, tensors);
        Layer layer;
        run_forward(job, tensors, layer);
        run_backward(job, tensors, layer);
        Tensors<float> pieces = tensors;
        Sizes sizes = sizes_of(job);
        sizes.normalises = norms;
        std::vector<float> sums(chosen_functions<float>().cells[int(job.cell)].sums(sizes));
        for (const Size t : {last, Size(0)}) {
            const Size steps = t > 0 ? piece : last;
            const RowTables tables = RowTables::dense(steps, job.B, false, nullptr);
            Backward<float> run = backward_job(job, pieces, tables);
            run.rows.reset = nullptr;
            move_to(run, t);
            run.sizes.T = steps, run.sizes.N = steps * job.B;
            run.sums = sums.data(), run.adds = t == 0;
            if (t > 0) run.weights[0] = {};
            const std::vector<float> dh_n = pieces.dh0, dc_n = pieces.dc0;
            if (t == 0) run.dh_n = dh_n.data(), run.dc_n = dc_n.data();
            run_pass<float>(job.cell, run, weights_of(job, pieces).data(), layer.backward,
                            job.threads);
        }
        CHECK(pieces.dx == tensors.dx, job.name() + " in pieces");
        for (int k = 0; k < 6; ++k) {
            CHECK(pieces.dweights[0][k] == tensors.dweights[0][k], job.name() + " in pieces");
        }
    }
}

// Every option over rows that end and begin afresh, one row and many, shared in either way.
void test_options() {
    for (const CellKind cell : every_cell) {
        for (const Size D : {1, 2}) {
            for (const int threads : {1, 2, 3, 4}) {
                for (const Size B : {1, 4, 35}) {
                    for (const int options : {1, 2, 3}) {
                        Case job{cell, 6, B, 3, 21, D, threads};
                        job.mask = options & 1, job.norms = options & 2;
                        compare_in_both_types(job);
                        job.bias = false;
                        compare_in_both_types(job);
                        job.bias = true, job.resets = true, job.lengths.resize(B);
                        for (Size b = 0; b < B; ++b) job.lengths[b] = (4 * b + 5) % 7;
                        compare_in_both_types(job);
                        compare_threads(job);
                    }
                }
            }
        }
    }
}

// More rows than a block of time has, sums deeper than a block of a product, and nothing at all.
void test_blocks() {
    for (const CellKind cell : every_cell) {
        for (const Case& job : {Case{cell, 300, 2, 3, 4, 2, 2}, Case{cell, 3, 290, 3, 5, 1, 3},
                                Case{cell, 2, 3, 307, 231, 1, 2}, Case{cell, 0, 3, 2, 5},
                                Case{cell, 2, 0, 3, 5, 2, 2}}) {
            compare_in_both_types(job);
        }
        // of few units LayerNorm's variance may be small, which amplifies the rounding of the rest
        for (Case job : {Case{cell, 12, 50, 3, 29, 2, 2}, Case{cell, 3, 290, 3, 25, 1, 3},
                         Case{cell, 2, 3, 307, 231, 1, 2}, Case{cell, 0, 3, 2, 5},
                         Case{cell, 2, 0, 3, 5, 2, 2}}) {
            job.mask = job.norms = true;
            compare_in_both_types(job);
        }
        Case job{cell, 300, 2, 3, 4, 2, 2};
        job.mask = true;
        compare_in_both_types(job);
        job.norms = true;
        compare<double>(job);  // in float the rounding of a step grows for 300
    }
}

}  // namespace

void test_layers() {
    test_sizes();
    test_rows();
    test_options();
    test_pieces();
    test_blocks();
}

}  // namespace throughtime
