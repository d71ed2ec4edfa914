#include <cmath>

#include "reference_cells.h"

namespace throughtime {
namespace {

const double root_of_half = std::sqrt(0.5), pi = std::acos(-1.0);

double sigmoid(double x) {
    return 1 / (1 + std::exp(-x));
}

// Of the normal distribution.
double share_below(double x) {
    return std::erfc(-x * root_of_half) / 2;
}
double density(double x) {
    return std::exp(-x * x / 2) / std::sqrt(2 * pi);
}

double gelu_argument(double x) {
    return std::sqrt(2 / pi) * (x + 0.044715 * x * x * x);
}

double square(double x) {
    return x * x;
}

}  // namespace

double value_of(Nonlinearity g, double x) {
    switch (g) {
        case Nonlinearity::tanh:
            return std::tanh(x);
        case Nonlinearity::relu:
            return x < 0 ? 0 : x;
        case Nonlinearity::identity:
            return x;
        case Nonlinearity::sigmoid:
            return sigmoid(x);
        case Nonlinearity::leaky_relu:
            return x < 0 ? 0.01 * x : x;
        case Nonlinearity::elu:
            return x < 0 ? std::expm1(x) : x;
        case Nonlinearity::softplus:
            return x > 20 ? x : std::log1p(std::exp(x));
        case Nonlinearity::silu:
            return x * sigmoid(x);
        case Nonlinearity::gelu:
            return x * share_below(x);
        case Nonlinearity::gelu_tanh:
            return x / 2 * (1 + std::tanh(gelu_argument(x)));
        case Nonlinearity::hardtanh:
            return x < -1 ? -1 : x > 1 ? 1 : x;
        case Nonlinearity::softsign:
            return x / (1 + std::abs(x));
    }
    return x;
}

double slope_of(Nonlinearity g, double x) {
    switch (g) {
        case Nonlinearity::tanh:
            return 1 - square(std::tanh(x));
        case Nonlinearity::relu:
            return x > 0;
        case Nonlinearity::identity:
            return 1;
        case Nonlinearity::sigmoid:
            return sigmoid(x) * sigmoid(-x);
        case Nonlinearity::leaky_relu:
            return x > 0 ? 1 : 0.01;
        case Nonlinearity::elu:
            return x > 0 ? 1 : std::exp(x);
        case Nonlinearity::softplus:
            return x > 20 ? 1 : sigmoid(x);
        case Nonlinearity::silu:
            return sigmoid(x) + x * sigmoid(x) * sigmoid(-x);
        case Nonlinearity::gelu:
            return share_below(x) + x * density(x);
        case Nonlinearity::gelu_tanh: {
            const double y = std::tanh(gelu_argument(x));
            const double inner = std::sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x);
            return (1 + y) / 2 + x / 2 * (1 - y * y) * inner;
        }
        case Nonlinearity::hardtanh:
            return x > -1 && x < 1;
        case Nonlinearity::softsign:
            return 1 / square(1 + std::abs(x));
    }
    return 1;
}

}  // namespace throughtime
