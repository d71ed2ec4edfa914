// tanh and sigmoid over all numbers, against the C library in a wider type.
#include <bit>
#include <limits>

#include "check.h"
#include "dispatch.h"
#include "tests.h"

namespace throughtime {
namespace {

template <class Real>
using Function = void (*)(Real* out, const Real* in, Size n);

template <class Real>
std::vector<Real> evaluate(Function<Real> function, const std::vector<Real>& x) {
    std::vector<Real> y(x.size());
    function(y.data(), x.data(), Size(x.size()));
    return y;
}

// Every 1021st float, and about as many doubles: tiny, subnormal and huge ones too.
std::vector<float> all_over(float) {
    std::vector<float> x;
    for (std::uint64_t bits = 0; bits < std::uint64_t(1) << 32; bits += 1021) {
        x.push_back(std::bit_cast<float>(std::uint32_t(bits)));
    }
    return x;
}
std::vector<double> all_over(double) {
    std::vector<double> x;
    constexpr std::uint64_t last = ~std::uint64_t(0), step = last / 100'003;
    for (std::uint64_t bits = 0; bits < last - step; bits += step) {
        x.push_back(std::bit_cast<double>(bits));
    }
    return x;
}

template <class Real>
std::vector<Real> grid(double end, int num) {
    std::vector<Real> x;
    for (int k = -num; k <= num; ++k) x.push_back(Real(end * k / num));
    return x;
}

template <class Real>
struct Wider {
    using Type = double;
    static constexpr double tolerance = 4e-7;
};
template <>
struct Wider<double> {
    using Type = long double;
    static constexpr double tolerance = 1e-15;
};

template <class Wide>
Wide tanh_in(Wide x) {
    return std::tanh(x);
}
template <class Wide>
Wide sigmoid_in(Wide x) {
    return 1 / (1 + std::exp(-x));
}

// Relative to the value, or where that is subnormal, to the smallest normal number.
template <class Real, class Definition>
void test_accuracy(Function<Real> function, Definition definition, const std::vector<Real>& x,
                   const std::string& name) {
    using Wide = typename Wider<Real>::Type;
    const std::vector<Real> y = evaluate(function, x);
    double worst = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
        if (std::isnan(x[k])) {
            if (!std::isnan(y[k])) CHECK(false, name + " of NaN");
            continue;
        }
        const Wide expected = definition(Wide(x[k]));
        const Wide smallest = std::numeric_limits<Real>::min() / Wider<Real>::tolerance;
        const double error =
            double(std::abs(y[k] - expected) / std::max(Wide(std::abs(expected)), Wide(smallest)));
        if (!(error <= worst)) worst = error;  // NaN too
    }
    CHECK(worst <= Wider<Real>::tolerance, name + ", error " + std::to_string(worst * 1e9) + "e-9");
}

template <class Real>
void test_range(Function<Real> function, Real lowest, const std::string& name) {
    for (const double end : {0.01, 1.0, 25.0, 800.0}) {
        const std::vector<Real> y = evaluate(function, grid<Real>(end, 200'000));
        int falls = 0, outside = 0;
        for (std::size_t k = 0; k < y.size(); ++k) {
            outside += !(y[k] >= lowest && y[k] <= 1);
            if (k > 0) falls += y[k] < y[k - 1];
        }
        CHECK(outside == 0, name);
        CHECK(falls == 0, name + " monotone");
    }
    const Real infinity = std::numeric_limits<Real>::infinity();
    const std::vector<Real> y = evaluate(function, {infinity, -infinity, Real(-0.0)});
    CHECK(y[0] == 1 && y[1] == lowest, name + " of infinity");
    if (lowest == -1) CHECK(y[2] == 0 && std::signbit(y[2]), name + " of -0");
}

template <class Real>
void test_in(const std::string& type) {
    using Wide = typename Wider<Real>::Type;
    const Functions<Real>& functions = chosen_functions<Real>();
    for (const std::vector<Real>& x : {all_over(Real{}), grid<Real>(100, 100'000)}) {
        test_accuracy(functions.tanh, tanh_in<Wide>, x, "tanh " + type);
        test_accuracy(functions.sigmoid, sigmoid_in<Wide>, x, "sigmoid " + type);
    }
    test_range<Real>(functions.tanh, -1, "tanh " + type);
    test_range<Real>(functions.sigmoid, 0, "sigmoid " + type);
}

}  // namespace

void test_functions() {
    test_in<float>("float");
    test_in<double>("double");
}

}  // namespace throughtime
