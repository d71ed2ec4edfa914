#include "reference.h"

#include <array>
#include <cmath>
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
        const Size H = job.H, P = job.P(), at_h = (d * job.B + b) * P, at_c = (d * job.B + b) * H;
        std::vector<double> h(&tensors.h0[at_h], &tensors.h0[at_h] + P);
        std::vector<double> c(&tensors.c0[at_c], &tensors.c0[at_c] + H);
        for (Size i = 0; i < length; ++i) {
            if (is_fresh(i)) {
                std::copy_n(&tensors.h_fresh[d * P], P, h.begin());
                std::copy_n(&tensors.c_fresh[d * H], H, c.begin());
            }
            std::vector<double> read = h;
            for (Size p = 0; p < P; ++p) read[p] *= mask(p);
            units.emplace_back(H);
            products.push_back({product(0, tensors.x.data() + place(i) * job.I, job.I),
                                product(1, read.data(), P)});
            const std::vector<double> z = pre_activations(0), a = pre_activations(1);
            for (Size u = 0; u < H; ++u) {
                Unit& unit = units[i][u];
                for (Size g = 0; g < job.G(); ++g) {
                    unit.z[g] = z[g * H + u];
                    unit.a[g] = a[g * H + u];
                }
                unit.h_before = u < P ? h[u] : 0;
                unit.c_before = c[u];
                const Size kept = (place(i) * job.D + d) * H + u;
                unit.keep_h = job.projected ? 0 : share_of_h(i, u);
                unit.keep_c = job.draws_zoneout ? tensors.keep_c[kept] : job.keep_c_share;
                for (Size p = 0; p < job.Q() && job.has_peepholes; ++p) {
                    unit.peephole[p] = tensors.weights[d][4][p * H + u];
                }
            }
            if (job.cell == CellKind::gru_reset_before) reset(i);
            for (Unit& unit : units[i]) unit_forward(job, unit);
            for (Size u = 0; u < H; ++u) c[u] = units[i][u].c;
            for (Size p = 0; p < P; ++p) {
                h[p] = job.projected ? projection(i, p) : units[i][p].h;
                tensors.y[(place(i) * job.D + d) * P + p] = h[p];
            }
        }
        std::copy_n(h.begin(), P, &tensors.h_n[at_h]);
        if (job.is_lstm()) std::copy_n(c.begin(), H, &tensors.c_n[at_c]);
    }

    void backward() {
        const Size H = job.H, P = job.P(), at_h = (d * job.B + b) * P, at_c = (d * job.B + b) * H;
        std::vector<double> dh(&tensors.dh_n[at_h], &tensors.dh_n[at_h] + P);
        std::vector<double> dc(&tensors.dc_n[at_c], &tensors.dc_n[at_c] + H);
        for (Size i = length - 1; i >= 0; --i) {
            const Size kept = (place(i) * job.D + d) * H;
            for (Size p = 0; p < P; ++p) dh[p] += tensors.dy[(place(i) * job.D + d) * P + p];
            if (job.hands_out) std::copy_n(dh.begin(), P, &tensors.dh_all[kept / H * P]);
            const std::vector<double> of_units = job.projected ? projection_backward(i, dh) : dh;
            for (Size u = 0; u < H; ++u) {
                Unit& unit = units[i][u];
                if (job.hands_in_dc) dc[u] += tensors.dc[kept + u];
                const double slope = job.projected ? 0 : slope_at[kept + u];
                unit_backward(job, unit, of_units[u], dc[u], slope);
                for (Size p = 0; p < job.Q() && job.has_peepholes; ++p) {
                    tensors.dweights[d][4][p * H + u] += unit.dpeephole[p];
                }
                if (!job.projected) dh[u] = unit.dh_before;
                dc[u] = unit.dc_before;
            }
            if (job.cell == CellKind::gru_reset_before) reset_backward(i, dh);
            if (job.hands_out) hand_out(i);
            product_backward(i, dh);
            if (!is_fresh(i)) continue;
            for (Size p = 0; p < P; ++p) tensors.dh_fresh[d * P + p] += std::exchange(dh[p], 0);
            for (Size u = 0; u < H && job.is_lstm(); ++u) {
                tensors.dc_fresh[d * H + u] += std::exchange(dc[u], 0);
            }
        }
        std::copy_n(dh.begin(), P, &tensors.dh0[at_h]);
        if (job.is_lstm()) std::copy_n(dc.begin(), H, &tensors.dc0[at_c]);
    }

  private:
    Size time(Size i) const { return d == 0 ? i : length - 1 - i; }
    Size place(Size i) const { return job.place(time(i), b); }

    // A reset at t stands between t-1 and t, whichever way one comes.
    bool is_fresh(Size i) const {
        if (d == 0) return tensors.reset[place(i)];
        return i > 0 && tensors.reset[place(i - 1)];
    }

    double mask(Size u) const {
        return job.has_mask ? tensors.mask[(d * job.B + b) * job.P() + u] : 1;
    }

    struct Product {
        std::vector<double> numbers;
        double scale = 1;
    };

    // W v, with k = 0 for the input's weights, 1 for the state's; with LayerNorm normalised.
    Product product(int k, const double* v, Size K) const {
        Product result{std::vector<double>(job.G() * job.H)};
        for (Size m = 0; m < Size(result.numbers.size()); ++m) {
            const double* row = tensors.weights[d][k].data() + m * K;
            for (Size j = 0; j < K; ++j) result.numbers[m] += row[j] * v[j];
        }
        if (job.normalises) normalise(result);
        return result;
    }

    static void normalise(Product& row) {
        const double count = double(row.numbers.size());
        double mean = 0, variance = 0;
        for (const double number : row.numbers) mean += number / count;
        for (double& number : row.numbers) {
            number -= mean;
            variance += number * number / count;
        }
        row.scale = 1 / std::sqrt(variance + 1e-5);
        for (double& number : row.numbers) number *= row.scale;
    }

    // gain * v + b of the last step's product.
    std::vector<double> pre_activations(int k) const {
        std::vector<double> numbers = products.back()[k].numbers;
        for (Size m = 0; m < Size(numbers.size()); ++m) {
            if (job.normalises) numbers[m] *= tensors.weights[d][5 + k][m];
            if (job.bias) numbers[m] += tensors.weights[d][2 + k][m];
        }
        return numbers;
    }

    // From the gradients of the pre-activations of step i those of their product, and those of
    // biases and gains.
    std::vector<double> normal_backward(int k, Size i) {
        const Size K = job.G() * job.H;
        const Product& row = products[i][k];
        std::vector<double> d_row(K);
        double mean = 0, along = 0;
        for (Size m = 0; m < K; ++m) {
            const Unit& unit = units[i][m % job.H];
            const double out = (k == 0 ? unit.dz : unit.da)[m / job.H];
            if (job.bias) tensors.dweights[d][2 + k][m] += out;
            d_row[m] = out;
            if (!job.normalises) continue;
            tensors.dweights[d][5 + k][m] += out * row.numbers[m];
            d_row[m] *= tensors.weights[d][5 + k][m];
            mean += d_row[m] / double(K);
            along += d_row[m] * row.numbers[m] / double(K);
        }
        for (Size m = 0; m < K && job.normalises; ++m) {
            d_row[m] = (d_row[m] - mean - row.numbers[m] * along) * row.scale;
        }
        return d_row;
    }

    double share_of_h(Size i, Size p) const {
        if (!job.draws_zoneout) return job.keep_h_share;
        return tensors.keep_h[(place(i) * job.D + d) * job.P() + p];
    }

    // Value p of h, from W_hr and what the units give.
    double projection(Size i, Size p) const {
        double sum = 0;
        for (Size u = 0; u < job.H; ++u) {
            sum += tensors.weights[d][7][p * job.H + u] * units[i][u].h_new;
        }
        return mix(share_of_h(i, p), units[i][p].h_before, sum);
    }

    // From dh [P] the gradient of W_hr and of what it reads, [H]; leaves in dh what stays.
    std::vector<double> projection_backward(Size i, std::vector<double>& dh) {
        std::vector<double> of_units(job.H);
        for (Size p = 0; p < job.P(); ++p) {
            const double dsum = (1 - share_of_h(i, p)) * dh[p];
            for (Size u = 0; u < job.H; ++u) {
                tensors.dweights[d][7][p * job.H + u] += dsum * units[i][u].h_new;
                of_units[u] += dsum * tensors.weights[d][7][p * job.H + u];
            }
            dh[p] *= share_of_h(i, p);
        }
        return of_units;
    }

    // The reset gate, and W_hn (r h_before) + b_hn.
    void reset(Size i) {
        std::vector<double> reset_h;
        for (Unit& unit : units[i]) {
            unit.gate[0] = sigmoid(unit.z[0] + unit.a[0]);
            reset_h.push_back(mask(reset_h.size()) * unit.gate[0] * unit.h_before);
        }
        for (Size u = 0; u < job.H; ++u) {
            const Size row = 2 * job.H + u;
            units[i][u].a[2] = job.bias ? tensors.weights[d][3][row] : 0;
            for (Size j = 0; j < job.H; ++j) {
                units[i][u].a[2] += tensors.weights[d][1][row * job.H + j] * reset_h[j];
            }
        }
    }

    void reset_backward(Size i, std::vector<double>& dh) {
        const Size H = job.H, of_n = 2 * H * H;
        for (Size u = 0; u < H; ++u) {
            Unit& unit = units[i][u];
            double dreset = 0;
            for (Size m = 0; m < H; ++m) {
                const double da = units[i][m].da[2];
                dreset += mask(u) * da * tensors.weights[d][1][of_n + m * H + u];
                tensors.dweights[d][1][of_n + m * H + u] +=
                    da * mask(u) * unit.gate[0] * unit.h_before;
            }
            unit.dz[0] = unit.da[0] = dreset * unit.h_before * unit.gate[0] * (1 - unit.gate[0]);
            dh[u] += dreset * unit.gate[0];
        }
    }

    // The gradients of all pre-activations, and of c, which without zoneout is the cell's own.
    void hand_out(Size i) {
        const Size H = job.H, kept = place(i) * job.D + d;
        for (Size u = 0; u < H; ++u) {
            const Unit& unit = units[i][u];
            if (job.is_lstm())
                tensors.dc_all[kept * H + u] = job.has_zoneout() ? unit.dc : unit.dc_new;
            for (Size g = 0; g < job.G(); ++g) {
                tensors.dz_all[(kept * job.G() + g) * H + u] = unit.dz[g];
            }
        }
    }

    // Gradients of the weights, of x, and dh += mask * (da W_hh).
    void product_backward(Size i, std::vector<double>& dh) {
        const Size H = job.H, P = job.P(), I = job.I;
        const Size of_h = job.cell == CellKind::gru_reset_before ? 2 * H : job.G() * H;
        const double* x = tensors.x.data() + place(i) * I;
        double* dx = tensors.dx.data() + (d * job.N() + place(i)) * I;
        const std::vector<double> dz_row = normal_backward(0, i), da_row = normal_backward(1, i);
        for (Size m = 0; m < job.G() * H; ++m) {
            const double dz = dz_row[m], da = da_row[m];
            for (Size j = 0; j < I; ++j) {
                tensors.dweights[d][0][m * I + j] += dz * x[j];
                dx[j] += dz * tensors.weights[d][0][m * I + j];
            }
            for (Size j = 0; j < P && m < of_h; ++j) {
                tensors.dweights[d][1][m * P + j] += da * mask(j) * units[i][j].h_before;
                dh[j] += mask(j) * da * tensors.weights[d][1][m * P + j];
            }
        }
    }

    const Case& job;
    Tensors<double>& tensors;
    const std::vector<double>& slope_at;
    Size d, b, length;
    std::vector<std::vector<Unit>> units;          // [steps visited, H]
    std::vector<std::array<Product, 2>> products;  // [steps visited]
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
