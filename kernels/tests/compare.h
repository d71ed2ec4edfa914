// The kernels on a case beside the definition: every number that comes out.
#pragma once

#include "check.h"
#include "reference.h"
#include "run.h"

namespace throughtime {

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
    run_reference(job, theirs, in_double(job.S() == 1 ? ours.gates : ours.y));
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

inline void compare_in_both_types(const Case& job) {
    compare<float>(job);
    compare<double>(job);
}

}  // namespace throughtime
