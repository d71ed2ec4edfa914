// Every g over its range, as the Elman cell of one unit and one step computes it: y = g(x).
#include "check.h"
#include "reference_cells.h"
#include "run.h"
#include "tests.h"

namespace throughtime {
namespace {

template <class Real>
Tensors<Real> evaluate(Nonlinearity g, const std::vector<Real>& x) {
    Case job{CellKind::elman, 1, Size(x.size()), 1, 1};
    job.bias = false;
    job.g = g;
    Tensors<Real> tensors = draw<Real>(job);
    tensors.x = x;
    tensors.weights[0][0] = {1};
    tensors.weights[0][1] = {0};
    tensors.dy.assign(x.size(), 1);
    tensors.dh_n.assign(x.size(), 0);
    make_room(job, tensors);
    Layer layer;
    run_forward(job, tensors, layer);
    run_backward(job, tensors, layer);
    return tensors;
}

template <class Real>
void test_accuracy(Nonlinearity g, const std::string& name) {
    const double tolerance = sizeof(Real) == 4 ? 4e-7 : 1e-15;
    for (const double end : {0.01, 1.0, 8.0, 25.0, 800.0}) {
        std::vector<Real> x;
        for (int k = -20'000; k <= 20'000; ++k) x.push_back(Real(end * k / 20'001));
        const Tensors<Real> found = evaluate(g, x);
        double worst = 0, worst_slope = 0;
        for (std::size_t k = 0; k < x.size(); ++k) {
            const double value = value_of(g, x[k]), slope = slope_of(g, x[k]);
            // near 0 beside x itself, which most values are close to
            const double scale = std::max(std::abs(value), std::min(1.0, std::abs(double(x[k]))));
            const double error = std::abs(found.y[k] - value) / std::max(scale, 1e-30);
            if (!(error <= worst)) worst = error;  // NaN too
            if (!(std::abs(found.dx[k] - slope) <= worst_slope))
                worst_slope = std::abs(found.dx[k] - slope);
        }
        CHECK(worst <= tolerance, name + ", error " + std::to_string(worst * 1e9) + "e-9");
        CHECK(worst_slope <= 4 * tolerance,
              name + " slope " + std::to_string(worst_slope * 1e9) + "e-9");
    }
}

template <class Real>
void test_not_a_number_travels(Nonlinearity g, const std::string& name) {
    const Real nan = std::numeric_limits<Real>::quiet_NaN();
    const Tensors<Real> found = evaluate<Real>(g, {1, nan, -1});
    CHECK(std::isnan(found.y[1]) && !std::isnan(found.y[0]) && !std::isnan(found.y[2]), name);
}

template <class Real>
void test_in(const std::string& type) {
    for (int g = 0; g < num_nonlinearities; ++g) {
        const std::string name = "g=" + std::to_string(g) + type;
        test_accuracy<Real>(Nonlinearity(g), name);
        test_not_a_number_travels<Real>(Nonlinearity(g), name);
    }
}

}  // namespace

void test_nonlinearities() {
    test_in<float>(" float");
    test_in<double>(" double");
}

}  // namespace throughtime
