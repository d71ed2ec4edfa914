#include "reference.h"

#include <cmath>
#include <utility>

namespace throughtime {
namespace {

double sigmoid(double x) {
    return 1 / (1 + std::exp(-x));
}

// One unit at one step. z = W_ih x + b_ih and a = W_hh h + b_hh hold one number per gate.
struct Unit {
    double z[4], a[4], gate[4];
    double h_before, c_before, h, c;
    double dz[4], da[4], dh_before, dc_before;
};

void unit_forward(CellKind cell, Unit& unit) {
    const double *z = unit.z, *a = unit.a;
    double* gate = unit.gate;
    switch (cell) {
        case CellKind::elman_tanh:
            unit.h = std::tanh(z[0] + a[0]);
            break;
        case CellKind::elman_relu:
            unit.h = std::max(z[0] + a[0], 0.0);
            break;
        case CellKind::lstm:
            for (int g : {0, 1, 3}) gate[g] = sigmoid(z[g] + a[g]);
            gate[2] = std::tanh(z[2] + a[2]);
            unit.c = gate[1] * unit.c_before + gate[0] * gate[2];
            unit.h = gate[3] * std::tanh(unit.c);
            break;
        case CellKind::gru:
            for (int g : {0, 1}) gate[g] = sigmoid(z[g] + a[g]);
            gate[2] = std::tanh(z[2] + gate[0] * a[2]);
            unit.h = (1 - gate[1]) * gate[2] + gate[1] * unit.h_before;
            break;
    }
}

// From the gradients of h and c those of z, a and of what bypasses the product.
void unit_backward(CellKind cell, Unit& unit, double dh, double dc, double relu_at) {
    const double* gate = unit.gate;
    double *dz = unit.dz, tanh_c;
    unit.dh_before = unit.dc_before = 0;
    switch (cell) {
        case CellKind::elman_tanh:
            dz[0] = dh * (1 - unit.h * unit.h);
            break;
        case CellKind::elman_relu:
            dz[0] = relu_at > 0 ? dh : 0;
            break;
        case CellKind::lstm:
            tanh_c = std::tanh(unit.c);
            dc += dh * gate[3] * (1 - tanh_c * tanh_c);
            dz[0] = dc * gate[2] * gate[0] * (1 - gate[0]);
            dz[1] = dc * unit.c_before * gate[1] * (1 - gate[1]);
            dz[2] = dc * gate[0] * (1 - gate[2] * gate[2]);
            dz[3] = dh * tanh_c * gate[3] * (1 - gate[3]);
            unit.dc_before = dc * gate[1];
            break;
        case CellKind::gru:
            dz[2] = dh * (1 - gate[1]) * (1 - gate[2] * gate[2]);
            dz[1] = dh * (unit.h_before - gate[2]) * gate[1] * (1 - gate[1]);
            dz[0] = dz[2] * unit.a[2] * gate[0] * (1 - gate[0]);
            unit.dh_before = dh * gate[1];
            break;
    }
    std::copy_n(dz, 4, unit.da);
    if (cell == CellKind::gru) unit.da[2] = dz[2] * gate[0];
}

// One row in one direction.
class Row {
  public:
    Row(const Case& job, Tensors<double>& tensors, const std::vector<double>& relu_at, Size d,
        Size b)
        : job(job), tensors(tensors), relu_at(relu_at), d(d), b(b), length(job.length(b)) {}

    void forward() {
        const Size H = job.H, state = (d * job.B + b) * H;
        std::vector<double> h(&tensors.h0[state], &tensors.h0[state] + H);
        std::vector<double> c(&tensors.c0[state], &tensors.c0[state] + H);
        for (Size i = 0; i < length; ++i) {
            if (is_fresh(i)) {
                std::copy_n(&tensors.h_fresh[d * H], H, h.begin());
                std::copy_n(&tensors.c_fresh[d * H], H, c.begin());
            }
            units.emplace_back(H);
            for (Size u = 0; u < H; ++u) {
                Unit& unit = units[i][u];
                for (Size g = 0; g < job.G(); ++g) {
                    unit.z[g] = product(0, g * H + u, tensors.x.data() + place(i) * job.I, job.I);
                    unit.a[g] = product(1, g * H + u, h.data(), H);
                }
                unit.h_before = h[u];
                unit.c_before = c[u];
                unit_forward(job.cell, unit);
            }
            for (Size u = 0; u < H; ++u) {
                h[u] = tensors.y[(place(i) * job.D + d) * H + u] = units[i][u].h;
                c[u] = units[i][u].c;
            }
        }
        std::copy_n(h.begin(), H, &tensors.h_n[state]);
        if (job.is_lstm()) std::copy_n(c.begin(), H, &tensors.c_n[state]);
    }

    void backward() {
        const Size H = job.H, state = (d * job.B + b) * H;
        std::vector<double> dh(&tensors.dh_n[state], &tensors.dh_n[state] + H);
        std::vector<double> dc(&tensors.dc_n[state], &tensors.dc_n[state] + H);
        for (Size i = length - 1; i >= 0; --i) {
            const Size kept = (place(i) * job.D + d) * H;
            for (Size u = 0; u < H; ++u) {
                Unit& unit = units[i][u];
                if (job.hands_in_dc) dc[u] += tensors.dc[kept + u];
                unit_backward(job.cell, unit, dh[u] + tensors.dy[kept + u], dc[u],
                              relu_at[kept + u]);
                dh[u] = unit.dh_before;
                dc[u] = unit.dc_before;
            }
            product_backward(i, dh);
            if (!is_fresh(i)) continue;
            for (Size u = 0; u < H; ++u) {
                tensors.dh_fresh[d * H + u] += std::exchange(dh[u], 0);
                if (job.is_lstm()) tensors.dc_fresh[d * H + u] += std::exchange(dc[u], 0);
            }
        }
        std::copy_n(dh.begin(), H, &tensors.dh0[state]);
        if (job.is_lstm()) std::copy_n(dc.begin(), H, &tensors.dc0[state]);
    }

  private:
    Size time(Size i) const { return d == 0 ? i : length - 1 - i; }
    Size place(Size i) const { return job.place(time(i), b); }

    // A reset at t stands between t-1 and t, whichever way one comes.
    bool is_fresh(Size i) const {
        if (d == 0) return tensors.reset[place(i)];
        return i > 0 && tensors.reset[place(i - 1)];
    }

    // Row m of W v + b; k = 0 of the input's weights, 1 of the state's.
    double product(int k, Size m, const double* v, Size K) const {
        double sum = job.bias ? tensors.weights[d][2 + k][m] : 0;
        const double* row = tensors.weights[d][k].data() + m * K;
        for (Size j = 0; j < K; ++j) sum += row[j] * v[j];
        return sum;
    }

    // Gradients of the weights, of x, and dh += da W_hh.
    void product_backward(Size i, std::vector<double>& dh) {
        const Size H = job.H, I = job.I;
        const double* x = tensors.x.data() + place(i) * I;
        double* dx = tensors.dx.data() + (d * job.N() + place(i)) * I;
        for (Size m = 0; m < job.G() * H; ++m) {
            const double dz = units[i][m % H].dz[m / H], da = units[i][m % H].da[m / H];
            for (Size j = 0; j < I; ++j) {
                tensors.dweights[d][0][m * I + j] += dz * x[j];
                dx[j] += dz * tensors.weights[d][0][m * I + j];
            }
            for (Size j = 0; j < H; ++j) {
                tensors.dweights[d][1][m * H + j] += da * units[i][j].h_before;
                dh[j] += da * tensors.weights[d][1][m * H + j];
            }
            if (!job.bias) continue;
            tensors.dweights[d][2][m] += dz;
            tensors.dweights[d][3][m] += da;
        }
    }

    const Case& job;
    Tensors<double>& tensors;
    const std::vector<double>& relu_at;
    Size d, b, length;
    std::vector<std::vector<Unit>> units;  // [steps visited, H]
};

}  // namespace

void run_reference(const Case& job, Tensors<double>& tensors, const std::vector<double>& relu_at) {
    for_outputs(job, tensors, [](const char*, std::vector<double>& tensor, Size elements) {
        tensor.assign(elements, 0);
    });
    for (Size d = 0; d < job.D; ++d) {
        for (Size b = 0; b < job.B; ++b) {
            Row row(job, tensors, relu_at, d, b);
            row.forward();
            row.backward();
        }
    }
}

}  // namespace throughtime
