// What a cell may have beside its equations, alone and together, against the definition.
#include "compare.h"
#include "tests.h"

namespace throughtime {
namespace {

// Every combination of the options that the case's cell knows.
std::vector<Case> with_options_of_cell(const Case& job) {
    std::vector<Case> cases{job};
    const auto vary = [&](auto change) {
        for (std::size_t k = cases.size(); k-- > 0;) {
            cases.push_back(cases[k]);
            change(cases.back());
        }
    };
    if (job.is_lstm()) {
        vary([](Case& with) { with.hands_in_dc = true; });
        vary([](Case& with) { with.has_peepholes = true; });
        if (job.H > 1) vary([](Case& with) { with.projected = 1 + with.H / 2; });
    }
    if (job.tells_slope_from_y()) return cases;
    for (int g = 1; g < num_nonlinearities && job.cell == CellKind::elman; ++g) {
        cases.push_back(job);
        cases.back().g = Nonlinearity(g);
    }
    std::vector<Case> without = cases;
    vary([](Case& with) { with.draws_zoneout = true; });
    for (Case& with : without) {
        with.keep_h_share = 0.25;
        if (job.is_lstm()) with.keep_c_share = 0.5;
        cases.push_back(with);
    }
    return cases;
}

// Two products of a step would be two rows of LayerNorm.
bool can_normalise(CellKind cell) {
    return cell != CellKind::gru_reset_before;
}

// Every combination of the options that the case's cell alone knows, then the same with a mask,
// LayerNorm or both in turns, and every other one with adjoints. The variance of few
// pre-activations may be small, which amplifies the rounding of what comes before.
std::vector<Case> with_options(const Case& job) {
    std::vector<Case> cases = with_options_of_cell(job);
    const std::size_t num = cases.size();
    for (std::size_t k = 0; k < num; ++k) {
        cases.push_back(cases[k]);
        cases.back().normalises = k % 3 != 1 && job.H > 12 && can_normalise(job.cell);
        cases.back().has_mask = k % 3 != 0 || !cases.back().normalises;
    }
    for (std::size_t k = 0; k < cases.size(); ++k) {
        cases[k].hands_out = (k + job.D + job.resets) % 2 == 0;
    }
    return cases;
}

void test_rows(CellKind cell) {
    const std::vector<std::int64_t> every_length[] = {{}, {2, 6, 0, 3, 3, 1, 5}};
    int turn = 0;
    for (const Size H : {1, 5, 21, 40}) {
        for (const Size D : {1, 2}) {
            for (const auto& lengths : every_length) {
                for (const bool resets : {false, true}) {
                    Case job{cell, 6, 7, 3, H, D, 1 + turn++ % 3};
                    job.lengths = lengths;
                    job.resets = resets;
                    job.bias = turn % 5 > 0;
                    for (const Case& with : with_options(job)) compare_in_both_types(with);
                }
            }
        }
    }
}

// One row and many, several blocks of time, packed rows, and nothing at all.
void test_shapes(CellKind cell) {
    Case packed{cell, 6, 4, 3, 21, 2, 2};
    packed.batch_sizes = {4, 4, 3, 1, 1, 1};
    for (const Case& job : {Case{cell, 5, 1, 3, 13, 2, 2}, Case{cell, 300, 2, 3, 4, 2, 2},
                            Case{cell, 3, 290, 3, 25, 1, 3}, packed, Case{cell, 0, 3, 2, 15},
                            Case{cell, 2, 0, 3, 5, 2, 2}}) {
        for (const Case& with : with_options(job)) compare_in_both_types(with);
    }
}

template <class Real>
std::vector<std::vector<Real>> results(const Case& job) {
    Tensors<Real> tensors = draw<Real>(job);
    make_room(job, tensors);
    Layer layer;
    run_forward(job, tensors, layer);
    run_backward(job, tensors, layer);
    std::vector<std::vector<Real>> all;
    for_outputs(job, tensors,
                [&](const char*, std::vector<Real>& tensor, Size) { all.push_back(tensor); });
    return all;
}

void test_bits_are_those_of_one_thread(CellKind cell) {
    for (const Size B : {1, 3, 20}) {
        Case job{cell, 40, B, 3, 70, 2};
        for (Case& with : with_options(job)) {
            with.threads = 1;
            const auto alone = results<float>(with);
            for (const int threads : {2, 4}) {
                with.threads = threads;
                CHECK(results<float>(with) == alone, with.name() + " beside one thread");
            }
        }
    }
}

template <class Real>
void test_handing_out_changes_no_bit(CellKind cell) {
    for (const Size B : {1, 7}) {
        Case job{cell, 20, B, 3, 37, 2, 2};
        for (Case& with : with_options(job)) {
            with.hands_out = false;
            const auto without = results<Real>(with);
            with.hands_out = true;
            const auto ours = results<Real>(with);
            for (std::size_t k = 0; k < ours.size(); ++k) {
                CHECK(without[k].empty() || without[k] == ours[k], with.name() + " or none");
            }
        }
    }
}

// A state that stays wholly is carried to the last bit, and so is its gradient.
void test_all_that_stays_is_carried(CellKind cell) {
    Case job{cell, 9, 2, 3, 13};
    job.keep_h_share = job.keep_c_share = 1;
    Tensors<double> tensors = draw<double>(job);
    make_room(job, tensors);
    Layer layer;
    std::fill(tensors.dy.begin(), tensors.dy.end(), 0);
    run_forward(job, tensors, layer);
    run_backward(job, tensors, layer);
    CHECK(tensors.h_n == tensors.h0 && tensors.dh0 == tensors.dh_n, job.name());
    if (job.is_lstm()) CHECK(tensors.c_n == tensors.c0 && tensors.dc0 == tensors.dc_n, job.name());
}

// Two runs over halves of a sequence that hand each other the sums of the weights' gradients.
void test_pieces_give_the_bits_of_one_run(CellKind cell, bool normalises) {
    Case whole{cell, 32, 64, 3, 21};
    whole.has_peepholes = whole.is_lstm();
    whole.has_mask = whole.normalises = normalises;
    whole.draws_zoneout = !whole.tells_slope_from_y();
    Tensors<float> tensors = draw<float>(whole);
    make_room(whole, tensors);
    Layer layer;
    run_forward(whole, tensors, layer);
    run_backward(whole, tensors, layer);
    const std::vector<std::vector<float>> expected(tensors.dweights[0], tensors.dweights[0] + 7);

    Case half = whole;
    half.T = block_steps(whole.B, most_parts(whole.B));
    CHECK(2 * half.T == whole.T, whole.name());
    const RowTables tables = tables_of(half);
    std::vector<float> sums(chosen_functions<float>().cells[int(cell)].sums(sizes_of(half)));
    std::vector<float> dh, dc;
    for (const bool is_second : {true, false}) {
        Backward<float> job = backward_job(half, tensors, tables);
        job.sums = sums.data();
        job.adds = !is_second;
        if (is_second) job.weights[0] = {};
        if (is_second) {
            const Size n = half.N(), before = (n - half.B) * half.H;
            job.dx += n * half.I, job.x += n * half.I;
            job.h0 = job.y + before, job.c0 = half.is_lstm() ? job.c + before : nullptr;
            if (job.gates) job.gates += n * half.S() * half.H;
            if (normalises) job.normalised += 2 * n * half.G() * half.H, job.scales += 2 * n;
            for (const float** kept : {&job.y, &job.c, &job.dy, &job.keep_h, &job.keep_c}) {
                if (*kept) *kept += n * half.H;
            }
        } else {
            dh = tensors.dh0, dc = tensors.dc0;
            job.dh_n = dh.data(), job.dc_n = dc.data();
        }
        run_pass<float>(cell, job, weights_of(half, tensors).data(), layer.backward, 2);
    }
    for (int k = 0; k < 7; ++k) {
        CHECK(tensors.dweights[0][k] == expected[k], whole.name() + " in pieces");
    }
}

}  // namespace

void test_options() {
    for (const CellKind cell : every_cell) {
        test_rows(cell);
        test_shapes(cell);
        test_bits_are_those_of_one_thread(cell);
        test_handing_out_changes_no_bit<float>(cell);
        test_handing_out_changes_no_bit<double>(cell);
        for (const bool normalises : {false, true}) {
            if (normalises && !can_normalise(cell)) continue;
            test_pieces_give_the_bits_of_one_run(cell, normalises);
        }
        if (!Case{cell}.tells_slope_from_y()) test_all_that_stays_is_carried(cell);
    }
}

}  // namespace throughtime
