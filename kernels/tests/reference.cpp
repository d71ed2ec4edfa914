#include "reference.h"

#include <utility>

#include "reference_cells.h"

namespace throughtime {
namespace {

// One row in one direction.
class Row {
  public:
    Row(const Case& job, Tensors<double>& tensors, const std::vector<double>& slope_at, Size d,
        Size b)
        : job(job), tensors(tensors), slope_at(slope_at), d(d), b(b), length(job.length(b)) {}

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
                const Size kept = (place(i) * job.D + d) * H + u;
                unit.keep_h = job.draws_zoneout ? tensors.keep_h[kept] : job.keep_h_share;
                unit.keep_c = job.draws_zoneout ? tensors.keep_c[kept] : job.keep_c_share;
                for (Size p = 0; p < job.P() && job.has_peepholes; ++p) {
                    unit.peephole[p] = tensors.weights[d][4][p * H + u];
                }
                unit_forward(job, unit);
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
                unit_backward(job, unit, dh[u] + tensors.dy[kept + u], dc[u], slope_at[kept + u]);
                for (Size p = 0; p < job.P() && job.has_peepholes; ++p) {
                    tensors.dweights[d][4][p * H + u] += unit.dpeephole[p];
                }
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
    const std::vector<double>& slope_at;
    Size d, b, length;
    std::vector<std::vector<Unit>> units;  // [steps visited, H]
};

}  // namespace

void run_reference(const Case& job, Tensors<double>& tensors, const std::vector<double>& slope_at) {
    for_outputs(job, tensors, [](const char*, std::vector<double>& tensor, Size elements) {
        tensor.assign(elements, 0);
    });
    for (Size d = 0; d < job.D; ++d) {
        for (Size b = 0; b < job.B; ++b) {
            Row row(job, tensors, slope_at, d, b);
            row.forward();
            row.backward();
        }
    }
}

}  // namespace throughtime
