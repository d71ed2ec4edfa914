// Sequences, forward and backward, against the definition.
#include "compare.h"
#include "tests.h"

namespace throughtime {
namespace {

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
