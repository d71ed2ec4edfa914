// The backward pass of all directions: the parts that their rows form, each a run of its own
// (backward.h), and the sums of what these give.
#pragma once

#include "backward.h"

namespace throughtime {
namespace {

// Parts of a direction's rows for the backward pass. Sizes alone decide, so that the sums over the
// parts have the same bits for any number of threads. Every part reads all weights and sums all of
// their gradients: where these leave a core's own cache, units are shared instead.
template <class Cell, class Real>
Size row_parts(const Sizes& sizes) {
    return stay_near<Real>(sizes, Cell::G) ? most_parts(sizes.B) : 1;
}

// Elements of the sums that runs hand to each other.
template <class Cell, class Real>
Size gradient_sums(const Sizes& sizes) {
    return sizes.D * row_parts<Cell, Real>(sizes) * WeightSums<Cell, Real>::elements(sizes);
}

template <class Cell, class Real>
Size backward_workspace(const Sizes& sizes, int threads) {
    Backward<Real> job{};
    job.sizes = sizes;
    const Task task{0, 0, sizes.D, row_parts<Cell, Real>(sizes)};
    return most_elements(threads, [&](const Member& member) {
        return BackwardRun<Cell, Real, true>(job, task, member, {nullptr}).elements();
    });
}

// One member's part of a backward run.
template <class Cell, class Real>
void backward(const Backward<Real>& job, const Member& member) {
    const Size D = job.sizes.D, parts = row_parts<Cell, Real>(job.sizes);
    const auto run_of = [&](Size d, Size part, auto options) {
        return BackwardRun<Cell, Real, options>(job, {d, part, D, parts}, member, {job.workspace});
    };
    for (Size part = 0; part < parts; ++part) {
        for (Size d = 0; d < D; ++d) {
            with_or_without<Cell>(job.dc || hands_out(job) || has_options<Cell>(job, d),
                                  [&](auto options) { run_of(d, part, options).run(); });
        }
    }
    const auto sums_of = [&](Size d, Size part) {
        return run_of(d, part, std::true_type{}).weight_sums();
    };
    member.meet();
    for (Size d = 0; d < D; ++d) {
        const WeightSums<Cell, Real> total = sums_of(d, 0);
        for (Size part = 1; part < parts; ++part) {
            const WeightSums<Cell, Real> other = sums_of(d, part);
            if (job.weights[d].weight_hh) total.add_part(other, member);
            if (member.index > 0) continue;
            total.add_fresh(other);
            const bool norms = job.sizes.normalises && job.weights[d].weight_hh;
            if (job.weights[d].peepholes || norms) total.add_by_unit_of(other);
        }
        total.write(job.weights[d], member);
        if (member.index > 0) continue;
        total.write_fresh(job.dh_fresh, job.dc_fresh, d);
        total.write_by_unit(job.weights[d]);
    }
}

}  // namespace
}  // namespace throughtime
