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
                    job.hands_in_dc = job.is_lstm() && turn % 3 > 0;
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
                    job.hands_in_dc = job.is_lstm() && threads > 1;
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

// More rows than a block of time has, sums deeper than a block of a product, and nothing at all.
void test_blocks() {
    for (const CellKind cell : every_cell) {
        for (const Case& job : {Case{cell, 300, 2, 3, 4, 2, 2}, Case{cell, 3, 290, 3, 5, 1, 3},
                                Case{cell, 2, 3, 307, 231, 1, 2}, Case{cell, 0, 3, 2, 5},
                                Case{cell, 2, 0, 3, 5, 2, 2}}) {
            compare_in_both_types(job);
        }
    }
}

}  // namespace

void test_layers() {
    test_sizes();
    test_rows();
    test_blocks();
}

}  // namespace throughtime
